"""Models of several families, small and random, saved and loaded as a hub model would be: the same code for all.

Each is compared with itself used plainly: its own processor, its own forward, its own rule of positions.
"""

from dataclasses import replace

import pytest
import torch
import transformers as hf

from fusion.batch import Branch
from fusion.errors import FusionError
from fusion.families import vision_tower
from hybrid.config.instruction import MLLMConfig, TinyConfig, TrainConfig
from hybrid.errors import ModelError
from hybrid.models.mllm import load_family, load_model, load_processor
from hybrid.models.tiny_mllm import build_tiny, train_tokenizer
from hybrid.runs.build import build
from tests.hybrid.families import CLOCKED, FAMILY_NAMES, QUESTION, WORDS

PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def plain(collator, row, text):
    """The processor's own output for the row's video and `text`."""
    count = len(row.frames.images)
    return collator.processor(
        text=[text],
        videos=[torch.from_numpy(row.frames.images).permute(0, 3, 1, 2)],
        video_metadata=[{
            "total_num_frames": 2 * count, "fps": 2 * count / row.seconds, "duration": row.seconds,
            "frames_indices": list(range(1, 2 * count, 2)),
        }],
        do_sample_frames=False, add_special_tokens=False, return_tensors="pt",
    )  # fmt: skip


def spoken(collator, answer):
    """The chat of one user turn with a video and the answer, as the family's template writes it."""
    content = [{"type": "video"}, {"type": "text", "text": QUESTION}]
    chat = [{"role": "user", "content": content}]
    text = collator.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return text + answer + collator.processor.tokenizer.eos_token


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_mode_none_equals_the_base_model(load, row, family):
    model, collator = load(family, {"mode": "none"})
    one = row(persons=0, branches=[Branch(QUESTION, ("the left arm",))])
    batch, base = collator([one]), plain(collator, one, spoken(collator, "the left arm"))
    assert model.joints is None
    assert batch.prompt.input_ids.tolist() == base["input_ids"].tolist()
    base = {key: value for key, value in base.items() if key in collator.family.inputs}
    assert {key for key in base if "pixel" in key} == {key for key in batch.prompt.media if "pixel" in key} != set()
    places = slice(batch.answers.sources[0], batch.answers.sources[-1] + 1)
    with torch.no_grad():
        logits = model.mllm(**base).logits[0, places]
        expected = logits.log_softmax(-1).gather(1, batch.answers.targets[:, None])[:, 0]
        torch.testing.assert_close(model(batch)[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", CLOCKED)
def test_positions_without_weights_equal_the_models_own(load, row, family):
    model, collator = load(family, {"mode": "none"})
    for seconds in (1.0, 3.0):
        one = row(persons=0, seconds=seconds, branches=[Branch(QUESTION, ("kick",))])
        base = plain(collator, one, spoken(collator, "kick"))
        keys = ("input_ids", "attention_mask", "mm_token_type_ids", "video_grid_thw", "second_per_grid_ts")
        given = {key: base[key] for key in keys if key in base and (key != "second_per_grid_ts" or family == "tiny")}
        expected, _ = model.mllm.model.get_rope_index(**given)
        assert torch.equal(collator([one]).prompt.position_ids, expected)
        assert expected.unique(dim=0).shape[0] == 3  # time, height and width differ


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_padded_batch_of_trees_equals_each_answer_alone(load, row, family):
    model, collator = load(family)
    rows = [
        row(persons=2, branches=[Branch(QUESTION, ("the left arm", "kick")), Branch("both kick?", ("both",))]),
        row(persons=1, video=False, branches=[Branch(QUESTION, ("kick",))], seed=1),
        row(persons=0, branches=[Branch(QUESTION, ("both",))], seed=2),
    ]
    alone = [
        replace(one, branches=(Branch(branch.question, (answer,)),))
        for one in rows
        for branch in one.branches
        for answer in branch.answers
    ]
    with torch.no_grad():
        together = model.score(collator(rows))
        apart = torch.cat([model.score(collator([single])) for single in alone])
        torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
        other = row(persons=2, branches=rows[0].branches, seed=5).frames
        pixels = model.score(collator([replace(rows[0], frames=other), *rows[1:]]))
        pose = model.score(collator([replace(rows[0], skeleton=row(persons=2, seed=6).skeleton), *rows[1:]]))
    for changed in (pixels, pose):
        assert (changed[:3] - together[:3]).abs().min() > 1e-4
        torch.testing.assert_close(changed[3:], together[3:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_generated_tokens_are_the_likeliest(load, row, family):
    model, collator = load(family)
    rows = [
        row(persons=2, branches=[Branch(QUESTION)]),
        row(persons=1, seconds=2.0, branches=[Branch(QUESTION)], seed=1),
    ]
    ids = model.generate(collator(rows, left=True), max_new_tokens=5)
    tokenizer = collator.processor.tokenizer
    for single, new in zip(rows, ids, strict=True):
        ends = (new == tokenizer.eos_token_id).nonzero()
        new = new[: ends[0] + 1] if len(ends) else new
        batch = collator([single])
        text = torch.cat([batch.prompt.input_ids, new[None]], 1)
        grown = batch.prompt.position_ids[..., -1:] + 1 + torch.arange(len(new))
        positions = torch.cat([batch.prompt.position_ids, grown], -1)
        with torch.no_grad(), model.fused(batch):
            logits = model.mllm(
                input_ids=text, position_ids=positions, attention_mask=torch.ones_like(text), **batch.prompt.media
            ).logits
        assert logits[0, -len(new) - 1 : -1].argmax(-1).tolist() == new.tolist()
    assert ids.unique().numel() > 2


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_gradients_reach_every_joint_weight(load, row, family):
    model, collator = load(family)
    rows = [
        row(persons=2, branches=[Branch(QUESTION, ("kick",))]),
        row(persons=0, branches=[Branch(QUESTION, ("both",))]),
    ]
    (-model.train()(collator(rows))[0].mean()).backward()
    model.eval()
    moved = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert moved == {name for name, _ in model.named_parameters() if name.startswith("joints.")}
    for name, parameter in model.joints.projector.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_lora_trains_the_decoder_alone(load, row, family):
    model, collator = load(family, mllm={"lora_rank": 2, "dtype": "bfloat16"})
    trained = {name: p for name, p in model.mllm.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name and p.dtype == torch.float32 for name, p in trained.items())
    decoder = {id(parameter) for parameter in model.mllm.get_decoder().parameters()}
    assert all(id(parameter) in decoder for parameter in trained.values())
    (-model.train()(collator([row(branches=[Branch(QUESTION, ("kick",))])]))[0].mean()).backward()
    grown = {name for name, p in trained.items() if "lora_B" in name and p.grad.abs().max() > 0}
    assert grown == {name for name in trained if "lora_B" in name}
    assert {name.split(".lora_B")[0].split(".")[-1] for name in grown} == PROJECTIONS


@pytest.mark.parametrize("family", CLOCKED)
def test_anchors_read_the_video_where_the_family_has_a_grid(load, row, family):
    model, collator = load(family, {"anchor": True})
    batch = collator(
        [row(branches=[Branch(QUESTION, ("kick",))]), row(video=False, branches=[Branch(QUESTION, ("kick",))])]
    )
    with torch.no_grad():
        output, volumes = model.family.video_features(model.mllm, batch.prompt.media)
        merge = vision_tower(model.mllm).spatial_merge_size
        t, h, w = batch.prompt.media["video_grid_thw"][0].tolist()
        assert [volume.shape for volume in volumes] == [(t, h // merge, w // merge, 32)]
        assert torch.equal(volumes[0].flatten(0, 2), torch.cat(list(output.pooler_output)))
        anchored = model.score(batch)
        model.joints.anchor.limb.weight.add_(1.0)
        changed = model.score(batch)
    assert anchored[0] != changed[0]
    assert anchored[1] == changed[1]  # no video: the blind vector


def test_timestamps_in_the_text_are_the_frames_own(load, row):
    """Qwen3-VL writes the middle of two frames: of 0.375, 1.125, 1.875 and 2.625 s."""
    _, collator = load("qwen3_vl")
    text = collator.processor.tokenizer.decode(
        collator([row(seconds=3.0, branches=[Branch(QUESTION)])]).prompt.input_ids[0]
    )
    assert text.count("<0.8 seconds>") == text.count("<2.2 seconds>") == 1


def test_qwen3_joint_tokens_stand_at_the_frame_of_their_second(load, row):
    _, collator = load("qwen3_vl")
    batch = collator([row(seconds=3.0, branches=[Branch(QUESTION)])])
    video = batch.prompt.position_ids[0, 0, batch.prompt.input_ids[0] == collator.family.video_token_id]
    steps = sorted(set(video.tolist()))
    times = batch.body.plan.times[0][batch.body.plan.mask[0]]
    joints = batch.prompt.position_ids[0, 0, batch.prompt.placeholders[0]]
    assert len(steps) == 2
    assert joints.tolist() == [steps[int(second >= 1.5)] for second in times.tolist()]


def test_one_dimensional_families_have_no_clock_and_no_anchor(load, row):
    one = row(branches=[Branch(QUESTION, ("kick",))])
    _, collator = load("llava_onevision", {"position": "time"})
    with pytest.raises(FusionError, match="position=time needs a model with .* use fusion.position=text"):
        collator([one])
    model, collator = load("llava_onevision", {"anchor": True})
    with pytest.raises(
        FusionError, match=r"needs a family with video_grid_thw; Llava.* has none: set fusion.anchor=false"
    ):
        model(collator([one]))


def test_the_tiny_model_is_the_same_for_the_same_seed(tmp_path, row):
    sizes = TinyConfig(width=32, layers=1, heads=2, vision_width=32, vision_layers=1)
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        folder = build_tiny(tmp_path / name, WORDS, sizes, seed)
        weights.append(load_model(MLLMConfig(path=str(folder))).state_dict())
    first, second, other = weights
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]  # nothing temporary is left
    processor = load_processor(MLLMConfig(path=str(tmp_path / "a")))
    assert processor.tokenizer.decode(processor.tokenizer.encode("the left arm 12")) == "the left arm 12"
    assert len(processor.tokenizer.encode("12")) == 2  # digits apart


def test_the_tiny_tokenizer_keeps_words_of_the_body_apart_and_joins_what_is_between():
    side, limb = ("left", "right"), ("arm", "leg", "head")
    texts = [f"How many times does the person raise the {s} {p} at 2.5 s?" for s in side for p in limb] * 20
    tokenizer = train_tokenizer(texts, 512)
    ids = tokenizer.encode("How many times does the person raise the left arm at 2.5 s?", add_special_tokens=False)
    pieces = [tokenizer.decode([i]) for i in ids]
    assert pieces == ["How many times does the person", " raise", " the", " left", " arm", " at ", "2.5", " s?"]
    assert tokenizer.decode(tokenizer.encode("1.2 to 3.4")) == "1.2 to 3.4"


def test_near_times_begin_alike_in_the_tiny_model(tmp_path):
    folder = build_tiny(tmp_path / "a", WORDS, TinyConfig(width=128, layers=1, vision_width=32, vision_layers=1), 0)
    tokenizer = load_processor(MLLMConfig(path=str(folder))).tokenizer
    table = load_model(MLLMConfig(path=str(folder))).get_input_embeddings().weight
    two, near, far = (table[tokenizer.convert_tokens_to_ids(time)] for time in ("2.0", "2.1", "4.0"))
    assert torch.cosine_similarity(two, near, dim=0) > 0.8
    assert torch.cosine_similarity(two, far, dim=0).abs() < 0.4
    assert two.square().mean() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("path", ["no-such/model", "/no/such/folder", "not a name"])
@pytest.mark.parametrize("load_part", [load_processor, load_model])
def test_an_unknown_model_is_one_sentence(monkeypatch, path, load_part):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=rf"mllm.path='{path}' cannot be loaded by Auto.* Give a hub name") as error:
        load_part(MLLMConfig(path=path))
    assert "\n" not in str(error.value)


def test_a_model_of_images_alone_is_one_sentence(folder, tmp_path):
    tokenizer = load_processor(MLLMConfig(path=str(folder("tiny")))).tokenizer
    hf.LlavaProcessor(hf.CLIPImageProcessor(), tokenizer, chat_template="x").save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match="processor of videos in .*, found LlavaProcessor: set mllm.path to a video MLLM"
    ):
        build(TrainConfig(mllm=MLLMConfig(path=str(tmp_path))), [])


def test_a_model_of_text_alone_is_one_sentence(folder, tmp_path):
    config = hf.Qwen2Config(
        vocab_size=512, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
    )
    hf.Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    load_processor(MLLMConfig(path=str(folder("tiny")))).tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot be loaded by AutoProcessor: Can't load image processor"):
        build(TrainConfig(mllm=MLLMConfig(path=str(tmp_path))), [])
    with pytest.raises(ModelError, match="cannot be loaded by AutoModelForImageTextToText"):
        load_model(MLLMConfig(path=str(tmp_path)))


def test_a_processor_without_a_chat_template_is_one_sentence(folder, tmp_path):
    processor = load_processor(MLLMConfig(path=str(folder("qwen2_vl"))))
    processor.chat_template = processor.tokenizer.chat_template = None
    processor.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no chat template: use an instruction-tuned checkpoint"):
        load_processor(MLLMConfig(path=str(tmp_path)))


def test_a_processor_that_lacks_its_package_is_one_sentence(folder, monkeypatch):
    path = folder("smolvlm")
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", None)
    with pytest.raises(ModelError, match="cannot be loaded by AutoProcessor: .*pip install num2words"):
        load_processor(MLLMConfig(path=str(path)))


def test_pixels_that_the_model_does_not_take_are_an_error(load, row):
    _, collator = load("internvl", {"mode": "none"})
    collator.family.inputs = frozenset({"input_ids"})
    with pytest.raises(ModelError, match=r"expected pixels .* from InternVLProcessor, found only .*pixel_values"):
        collator([row(branches=[Branch(QUESTION)])])


def test_a_family_without_a_known_vision_tower_is_an_error(folder):
    model = load_model(MLLMConfig(path=str(folder("internvl"))))
    model.model.eye = model.model.vision_tower
    del model.model.vision_tower
    with pytest.raises(FusionError, match="InternVLForConditionalGeneration has no vision tower named visual, vision"):
        vision_tower(model)


def test_a_family_is_known_without_memory(folder):
    family = load_family(MLLMConfig(path=str(folder("qwen3_vl"))))
    assert {parameter.device.type for parameter in family.inner.parameters()} == {"meta"}
    assert (family.dims, family.merge) == (3, 2)
