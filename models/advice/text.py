"""What a finding needs in words."""

from typing import NamedTuple


class Text(NamedTuple):
    """Texts for ``env._``. The evidence, the figures, ``name`` (of the endpoint) and ``databases`` (as one text) of a
    finding are put into all of them: the evidence as it is, the figures in the format of the user's language.

    :param title: the name of the finding, in title case, without values
    :param evidence: what was seen, with the values: short lines
    :param why: why it matters, in one or two sentences
    :param remedy: what to do; the lines to paste follow it
    """

    title: str
    evidence: str
    why: str
    remedy: str
