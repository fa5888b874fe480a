"""Which clips train, validate and are tested, and in which batches."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hybrid.data.clips import group_clips
from hybrid.data.collation import Collator
from hybrid.data.module import ClipData, answered, load, split_clips, thin
from hybrid.data.sample import Sample, read_samples, write_samples
from hybrid.errors import ConfigError, DataError
from hybrid.models.mllm import load_family, load_processor
from hybrid.runs.build import resolve_mllm
from skeleton.events.limb_event import LimbEvent, save_events


def sample(number, video="a.mp4", start=0.0, **more):
    return Sample(**({"id": f"{number}", "task": "t", "question": "?", "start": start, "end": start + 1, "video": video,
                      "answer": "x"} | more))  # fmt: skip


@pytest.fixture(scope="module")
def collator(tiny_config, tiny_samples):
    config = resolve_mllm(tiny_config, tiny_samples)
    return Collator(load_processor(config), load_family(config), tiny_config.fusion, "coco17")


@pytest.fixture
def data(tiny_config, small_set, collator):
    """data(train={...}, ...): the data module over the small set, with keys of its sections replaced."""

    def make(train=None, **more):
        settings = {"train": [str(small_set / "train.jsonl")], "val": [str(small_set / "val.jsonl")]}
        settings["cache"] = str(small_set / "cache")
        config = replace(
            tiny_config,
            data=replace(tiny_config.data, **(settings | more)),
            train=replace(tiny_config.train, **({"batch_size": 2, "steps": 10} | (train or {}))),
            test=replace(tiny_config.test, batch_size=2),
        )
        return ClipData(config, collator)

    return make


def attached(module, rank=0, ranks=1, step=0):
    """The module as a trainer would hold it."""
    module.trainer = SimpleNamespace(global_rank=rank, world_size=ranks, global_step=step)
    module.setup("fit")
    return module


def test_no_files_is_one_sentence():
    with pytest.raises(
        ConfigError, match=r"expected JSONL files in data\.train, found none: give data\.train=\[FILE\.jsonl\]"
    ):
        load([], "data.train")


def test_an_id_in_two_files_is_one_sentence(tmp_path):
    for name, ids in (("one", "ab"), ("two", "cb"), ("three", "d")):
        write_samples(tmp_path / f"{name}.jsonl", [sample(id) for id in ids])
    one, two, three = (str(tmp_path / f"{name}.jsonl") for name in ("one", "two", "three"))
    assert [found.id for found in load([one, three], "data.train")] == ["a", "b", "d"]
    for first, second, twice in ((one, two, "b"), (three, three, "d")):
        message = rf"{second}: id: expected ids that no other file of data\.train has, found '{twice}' in {first} too"
        with pytest.raises(DataError, match=message):
            load([first, second], "data.train")


def test_files_are_joined(small_set):
    both = load([str(small_set / "two.jsonl"), str(small_set / "val.jsonl")], "data.train")
    assert [entry.id for entry in both] == [
        entry.id for name in ("two", "val") for entry in read_samples(small_set / f"{name}.jsonl")
    ]


def test_a_split_keeps_all_clips_of_a_video_on_one_side():
    clips = group_clips([sample(f"{v}{s}", f"{v}.mp4", s) for v in range(10) for s in range(3)])
    train, val = split_clips(clips, 0.3, seed=0)
    assert len(val) == 9 and len(train) == 21
    assert not {clip.video for clip in train} & {clip.video for clip in val}
    assert sorted([*train, *val], key=clips.index) == clips
    assert split_clips(clips, 0.3, seed=0) == (train, val)
    assert split_clips(clips, 0.3, seed=1) != (train, val)
    assert split_clips(clips, 0.0, seed=0) == (clips, [])


def test_thinning_takes_evenly_spaced_clips():
    clips = group_clips([sample(f"{v}{q}", f"{v}.mp4") for v in range(12) for q in range(2)])
    assert thin(clips, None) == thin(clips, 24) == thin(clips, 99) == clips
    assert [clip.video for clip in thin(clips, 8)] == ["0.mp4", "4.mp4", "7.mp4", "11.mp4"]
    assert len(thin(clips, 1)) == 1


def test_clips_without_a_known_answer_neither_train_nor_validate(data, small_set, tmp_path):
    samples = read_samples(small_set / "train.jsonl")
    hidden = [replace(entry, answer=None) for entry in samples[:3]]
    assert answered(group_clips(hidden)) == []
    write_samples(tmp_path / "some.jsonl", [*hidden, *samples[3:6]])
    module = attached(data(train=None, val=[str(tmp_path / "some.jsonl")]))
    assert [len(clip.samples) for clip in module.val_clips] == [3]
    write_samples(tmp_path / "none.jsonl", hidden)
    module.config.data.train = [str(tmp_path / "none.jsonl")]
    module.setup("fit")
    with pytest.raises(DataError, match="at least one training clip with an answer, found none"):
        module.train_dataloader()


def test_training_batches_are_keyed_by_step(data):
    whole = [batch.prompt.input_ids for batch in attached(data()).train_dataloader()]
    assert len(whole) == 10
    module = attached(data())
    module.load_state_dict({"step": 7})
    resumed = [batch.prompt.input_ids for batch in module.train_dataloader()]
    assert [ids.tolist() for ids in resumed] == [ids.tolist() for ids in whole[7:]]
    assert module.state_dict() == {"step": 0}  # what the trainer says, once it has gone on


def test_accumulated_passes_are_counted_in_steps(data):
    module = attached(data(train={"accumulate": 2, "steps": 5}))
    assert len(module.train_dataloader()) == 10
    module.load_state_dict({"step": 3})
    assert len(list(module.train_dataloader())) == 4


def test_ranks_share_a_batch(data):
    shares = [attached(data(train={"batch_size": 3}), rank, 2).train_dataloader().batch_sampler for rank in (0, 1)]
    for first, second in zip(*shares, strict=True):
        assert {draw.clip for draw in [*first, *second]} == set(range(6))


def test_lengths_group_clips_only_when_asked(data, small_set):
    for group, spread in ((False, 2), (True, 1)):
        module = attached(data(group_lengths=group, questions_per_sequence=2))
        lengths = [12 * persons * 2.0 + 30 for persons in (1, 2) * 3]
        assert [module.reader.length(clip) for clip in module.train_clips] == lengths
        batches = list(module.train_dataloader().batch_sampler)[:8]
        assert max(len({draw.clip % 2 for draw in batch}) for batch in batches) == spread


def test_events_are_read_when_they_are_trained_on(data, tmp_path):
    nod = LimbEvent(person=0, limb="head", movement="nod", start=0.0, end=1.0)
    save_events(tmp_path / "events.jsonl", [("0", [nod]), ("1", [])])
    settings = {"events": [str(tmp_path / "events.jsonl")]}
    assert attached(data(**settings)).reader.events == {}
    module = attached(data(train={"event_loss": 0.5}, **settings))
    assert module.reader.events == {"0": [nod], "1": []}
    assert any(batch.body.events is not None for batch in module.train_dataloader())


def test_a_clip_in_two_files_of_events_is_an_error(data, tmp_path):
    files = [str(tmp_path / f"{name}.jsonl") for name in ("one", "two")]
    for path in files:
        save_events(path, [("0", [])])
    with pytest.raises(
        DataError, match=r"each clip in one file of data\.events, found '0' in .*one.jsonl and in .*two"
    ):
        attached(data(train={"event_loss": 0.5}, events=files))


def test_records_of_one_name_never_share_events(data, small_set, tmp_path):
    """Events keyed by the file's name alone say whose they are only while one record is called so."""
    nod = LimbEvent(person=0, limb="head", movement="nod", start=0.0, end=1.0)
    first = next(one for one in read_samples(small_set / "train.jsonl") if one.skeleton)
    stem = Path(first.skeleton).stem
    twin = tmp_path / f"twin/{stem}.npz"
    twin.parent.mkdir()
    shutil.copy(first.skeleton, twin)
    write_samples(tmp_path / "train.jsonl", [first, replace(first, id="twin", skeleton=str(twin))])
    save_events(tmp_path / "events.jsonl", [(stem, [nod])])
    settings = {"train": {"event_loss": 0.5}, "events": [str(tmp_path / "events.jsonl")]}
    module = attached(data(**settings))  # the small set alone
    assert module.reader.known_events(group_clips([first])[0]) == (nod,)
    module = data(**settings)
    module.config.data.train = [str(tmp_path / "train.jsonl")]
    with pytest.raises(
        DataError, match=rf"expected one record called '{stem}' in data\.events, found .* and .*{stem}\.npz"
    ):
        attached(module)
    own = Path(first.skeleton).parent.name
    save_events(tmp_path / "events.jsonl", [(f"{own}/{stem}", [nod]), (f"twin/{stem}", [])])
    module = data(**settings)
    module.config.data.train = [str(tmp_path / "train.jsonl")]
    clips = attached(module).train_clips
    assert {len(module.reader.known_events(clip)) for clip in clips if clip.skeleton == str(twin)} == {0}
    assert {len(module.reader.known_events(clip)) for clip in clips if clip.skeleton == first.skeleton} == {1}


def test_validation_and_test_loaders_pair_questions_with_tensors(data, small_set):
    module = attached(data())
    asked, batch = next(iter(module.val_dataloader()))
    assert asked.kind == "validate"
    assert batch.answers.count == (2 + 1 + 1) + 2  # two options, one count, one interval; two options
    kinds = []
    for asked, batch in module.eval_loader(group_clips(read_samples(small_set / "test.jsonl")), None):
        kinds.append(asked.kind)
        if asked.kind == "write":  # generation goes on at the right
            assert batch.prompt.attention_mask[:, -1].all()
            assert batch.answers.count == 0
        else:
            assert batch.answers.count == 2 * len(asked.samples)
    assert kinds == ["choose"] * 3 + ["write"] * 3


def test_no_validation_clips_no_validation(data):
    module = attached(data(val=[]))
    assert module.val_dataloader() == []
    assert len(module.train_clips) == 6
    module = attached(data(val=[], validation_fraction=0.34))
    assert (len(module.train_clips), len(module.val_clips)) == (4, 2)


def test_workers_load_the_same_batches(data):
    plain = [batch.prompt.input_ids.tolist() for batch in attached(data(train={"steps": 3})).train_dataloader()]
    several = [
        batch.prompt.input_ids.tolist() for batch in attached(data(train={"steps": 3}, workers=2)).train_dataloader()
    ]
    assert plain == several
