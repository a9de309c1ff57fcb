"""Choose between several kinds of masks or annotations in one dataset: Segdeck asks instead of guessing."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import InputError
from core.text import listing


class ChoiceNeededError(InputError):
    """The dataset can be read in several ways. question: a sentence; options: what to choose from."""

    def __init__(self, question: str, options: Sequence[str]) -> None:
        super().__init__(
            question,
            why=f"There are {listing(options, 20)}.",
            todo=f"Choose one on the Datasets page, or with: segdeck dataset convert --annotations {options[0]}",
        )
        self.question, self.options = question, tuple(options)

    def __reduce__(self) -> tuple[type[ChoiceNeededError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.question, self.options)


class Choices:
    """What the user has chosen, and which of it was needed."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self._options: list[str] = []

    def pick(self, question: str, options: Sequence[str]) -> str:
        """Return the chosen one of several options. Raises ChoiceNeededError where none, or several, are chosen."""
        option = self.among(options)
        if option:
            return option
        raise ChoiceNeededError(question, options)

    def among(self, options: Sequence[str]) -> str:
        """Return the chosen one of several options; empty if none, or several, are chosen."""
        self._options += options
        wanted = {name.casefold() for name in self.names}
        chosen = [option for option in options if option.casefold() in wanted]
        return chosen[0] if len(chosen) == 1 else ""

    def check(self) -> None:
        """Raise InputError for a choice that the dataset does not offer."""
        options = {option.casefold() for option in self._options}
        unknown = [name for name in self.names if name.casefold() not in options]
        if unknown:
            offered = listing(list(dict.fromkeys(self._options)), 20)
            raise InputError(
                f"The dataset has no annotations named {listing(unknown)}.",
                why=f"There are {offered}." if offered else "It has only one kind of masks.",
                todo="Leave out --annotations, or choose one of these."
                if offered
                else "Leave out --annotations.",
            )
