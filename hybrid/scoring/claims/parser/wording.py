"""Text -> tokens -> chunks: the first two stages of the parser of motion claims (hybrid/scoring/claims/read_claims.py).

A chunk is a run of words that is read as one thing: a verb, a limb, a person, a place, a connective. Fixed runs of
words come from lexicon.json, the longest first; noun phrases (nouns.py), sides, numbers and times are read by rules.
Words that are none of these are passed over. Spelling is mended before reading, and every chunk keeps the characters
it was read from.
"""

from __future__ import annotations

import re
from dataclasses import replace

from hybrid.scoring.claims.parser.chunk import Chunk, Token
from hybrid.scoring.claims.parser.lexicon import lexicon
from hybrid.scoring.claims.parser.nouns import noun_phrase, verb_at

_WORD = re.compile(r"\d+(?:\.\d+)?|[a-z]+(?:'[a-z]+)?|[.,;:!?&/()]")
_MARKS = {
    ".": Chunk("stop"), "!": Chunk("stop"), "?": Chunk("stop"), ";": Chunk("stop"), ",": Chunk("comma"),
    ":": Chunk("comma"), "&": Chunk("connective", "and"), "/": Chunk("connective", "like"),
}  # fmt: skip
_IS = {"it's": "it", "he's": "he", "she's": "she"}
_UNITS = ("s", "sec", "seconds", "second", "secs")
_TOWARDS = ("to", "towards", "on", "at", "from", "onto", "with", "using", "in", "by", "into")
_NEARLY = ("far", "upper", "slight", "slightly", "very", "bottom", "top", "immediate", "own")
_STROKES = ("punch", "kick", "step", "jab", "uppercut", "turn")  # "a left punch"


def tokens(text: str) -> list[Token]:
    """The words and marks of a text; a mended spelling may give several words for one."""
    words, result = lexicon(), []
    for match in _WORD.finditer(text.lower().replace("’", "'")):
        word = match[0]
        if word.endswith("n't"):
            parts = [word[:-3], "not"]
        elif word in _IS:
            parts = [_IS[word], "is"]
        elif word == "they're":
            parts = ["they", "are"]
        else:
            parts = words.spelling.get(word, word).split()
        result += [Token(part, match.start(), match.end()) for part in parts]
    for place in range(len(result) - 2):
        first, second, third = (token.word for token in result[place : place + 3])
        contracted = (first, second) == ("it", "is") and result[place].start == result[place + 1].start
        if contracted and (third in ("left", "right", "own") or third in words.body):  # "with it's left hand"
            result[place : place + 2] = [replace(result[place], word="its")] * 2
        if first == "there" and (second in ("left", "right") or second in words.body):  # "both of there hands"
            result[place] = replace(result[place], word="their")
    return result


def chunks(text: str) -> list[Chunk]:
    """The chunks of a text, in order."""
    read = tokens(text)
    reader, result = _Reader([token.word for token in read]), []
    while reader.place < len(read):
        first = reader.place
        chunk = reader.read(result[-1] if result else None)
        if chunk is not None:
            result.append(replace(chunk, start=read[first].start, end=read[reader.place - 1].end))
    return result


class _Reader:
    """Reads one chunk at a time; `place` is the next word."""

    def __init__(self, words: list[str]) -> None:
        self.words, self.place = words, 0

    def at(self, place: int) -> str:
        return self.words[place] if place < len(self.words) else ""

    def read(self, last: Chunk | None) -> Chunk | None:
        """The chunk at `place`, which is moved behind it by a word or more; None for words passed over."""
        length, entry = lexicon().longest(self.words, self.place)
        for rule in (self._mark, self._time, self._number, self._side):
            if rule == self._side and length > 1 and entry[0] == "place":
                continue
            if (found := rule(last)) is not None:
                chunk, self.place = found
                return chunk
        if length and self._is_another_word(length, entry):
            length = 0
        noun, end = noun_phrase(self.words, self.place, last)
        if length and (noun is None or noun.kind == "thing" or end - self.place <= length):
            self.place += length
            kind, value = entry
            if kind == "connective" and value == "skip":
                return None
            if kind == "place":
                return Chunk("place", value, tags=frozenset(value.split()))
            return Chunk(kind, value, count=int(value) if kind == "count" else None)
        if noun is not None:
            self.place = end
            return noun
        self.place += 1
        return self._word(last)

    def _word(self, last: Chunk | None) -> Chunk | None:
        """The word before `place` on its own: a verb, a preposition, a thing."""
        word, before, words = self.words[self.place - 1], "" if last is None else last.kind, lexicon()
        verb = verb_at(self.words, self.place - 1) if word != "using" else None
        if verb is not None:
            if verb.form == "base" and before == "prep":  # "at pace"
                return Chunk("thing", word)
            if verb.form == "third" and word in words.noun_verbs and before == "verb" and not last.nominal:
                return replace(verb, nominal=True)  # "takes steps"
            return verb
        if word in words.prepositions:
            return Chunk("prep", word)
        if (verb := _unknown_verb(word, before)) is not None:
            return verb
        other = word.endswith("ly") or word in words.adjectives or word in words.adverbs or len(word) < 3
        return Chunk("thing", word) if before in ("verb", "prep") and word.isalpha() and not other else None

    def _is_another_word(self, length: int, entry: tuple[str, str]) -> bool:
        """Whether a place word is a preposition ("in a chair", "on the back of") or a verb ("circles the arm") here."""
        word, behind, words = self.at(self.place), self.at(self.place + length), lexicon()
        if entry[0] != "place":
            return False
        if length == 1 and verb_at(self.words, self.place, "third") is not None:
            return behind in words.determiners or behind in ("left", "right")
        if behind == "of" and entry[1] in ("on_body", "side"):  # "to the side of the head"
            return True
        if length > 1 or word not in words.prepositions or word in ("over", "around", "about"):
            return False
        return behind in words.determiners or behind in words.body or behind in words.things or behind in words.persons

    def _mark(self, last: Chunk | None) -> tuple[Chunk, int] | None:
        """Punctuation, "who" and the "to" of "to pick"."""
        word = self.at(self.place)
        if word in _MARKS:
            return _MARKS[word], self.place + 1
        if word == "who" or (word in ("that", "whom") and last is not None and last.kind in ("person", "thing")):
            return Chunk("who"), self.place + 1
        if word == "to" and verb_at(self.words, self.place + 1, "base") is not None:
            return Chunk("to"), self.place + 1
        return None

    def _time(self, last: Chunk | None) -> tuple[Chunk | None, int] | None:
        """ "at 1.2 s", "from 1.0 to 2.5 s", "between 2 and 3 seconds", "from the beginning"; not "for 5 seconds"."""
        word, j = self.at(self.place), self.place + 1
        if word == "from" and "beginning" in (self.at(j), self.at(j + 1)) and self.at(j) in ("the", "beginning"):
            return Chunk("time", seconds=(0.0, 0.0)), j + 1 + (self.at(j) == "the")
        first = _seconds(self.at(j))
        if word not in ("at", "from", "between", "after", "for", "about", "around") or first is None:
            return None
        j, second = j + 1, None
        unit = self.at(j) in _UNITS
        j += unit
        if word in ("from", "between") and self.at(j) in ("to", "and"):
            second, j = _seconds(self.at(j + 1)), j + 2
            if self.at(j) in _UNITS:
                unit, j = True, j + 1
        if not unit:
            return None
        if word not in ("at", "from", "between"):
            return None, j
        return Chunk("time", seconds=(first, first if second is None else second)), j

    def _number(self, last: Chunk | None) -> tuple[Chunk | None, int] | None:
        """ "3 times"; "five seconds" is passed over."""
        number, behind = lexicon().number(self.at(self.place)), self.at(self.place + 1)
        if number is not None and behind in ("times", "time", "repetitions", "reps"):
            return Chunk("count", count=number), self.place + 2
        if number is not None and behind in _UNITS and behind != "s":
            return None, self.place + 2
        return None

    def _side(self, last: Chunk | None) -> tuple[Chunk | None, int] | None:
        """ "to his far left side": a place. "With his left", "then the right", "then the other": a side. "From the left"
        is passed over."""
        j, prep = self.place, ""
        if self.at(j) in _TOWARDS:
            prep, j = self.at(j), j + 1
        given = self.at(j) in lexicon().determiners
        j += given
        while self.at(j) in _NEARLY:
            j += 1
        side = self.at(j)
        if given and side == "other" and not prep and self.at(j + 1) in ("one", "", ".", ",", "and", "then"):
            return Chunk("side", side, side=side), j + 1 + (self.at(j + 1) == "one")
        if side not in ("left", "right"):
            return None
        j += 1
        if self.at(j) == "hand" and self.at(j + 1) == "side":
            j += 1
        whole = self.at(j) in ("side", "direction") and self.at(j + 1) not in ("step", "steps")
        if whole:
            j += 1
        elif self._names_something(j):
            return None
        if prep == "from":
            return None, j
        if not whole and (prep in ("with", "using", "in") or (given and not prep)):
            return Chunk("side", side, side=side, tags=frozenset((prep,) if prep else ())), j
        return Chunk("place", side, tags=frozenset((side,))), j

    def _names_something(self, j: int) -> bool:
        """Whether "left" or "right" before word j is of a noun: "right and left arm", "right upper arm", "left punch"."""
        words, k = lexicon(), j
        while self.at(k) in ("and", "or", "left", "right", "then", "&", "/") or self.at(k) in words.body_adjectives:
            k += 1
        if self.at(k) in words.body:
            return not (k > j and self.at(k - 1) in ("and", "then"))
        stroke = verb_at(self.words, j)
        return self.at(j) in words.noun_verbs and stroke is not None and stroke.value in _STROKES


def _unknown_verb(word: str, before: str) -> Chunk | None:
    """A verb that the lexicon lacks, by its ending and its place: no claim, but what follows belongs to it."""
    words = lexicon()
    if len(word) < 5 or word in words.adverbs or word in words.adjectives or not word.isalpha():
        return None
    if word.endswith("ing") and not word.endswith("thing"):
        return Chunk("verb", word, form="gerund")
    if before in ("person", "connective", "comma") and word.endswith("s") and not word.endswith("ss"):
        return Chunk("verb", word, form="third")
    return None


def _seconds(word: str) -> float | None:
    number = lexicon().number(word)
    if number is not None:
        return float(number)
    return float(word) if re.fullmatch(r"\d+\.\d+", word) else None
