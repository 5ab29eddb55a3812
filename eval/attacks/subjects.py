"""What the attacks' documents are about: small things of an office, each with a rule and a question that finds it."""

from collections.abc import Iterator
from dataclasses import dataclass

_LIST = """
bicycle lease, parking permit, locker key, standing desk, visitor badge, conference microphone, label
printer, umbrella loan, plant sponsorship, coffee subscription, shower token, window blind, headset stand,
monitor arm, whiteboard kit, projector lamp, safety vest, ladder permit, loading dock slot, company scarf,
foot rest, air purifier, laminating pouch, paper shredder, garden plot, lunch voucher, nap room slot, piano
hour, table tennis racket, darkroom hour, kayak rental, telescope evening, sewing machine, cargo trailer,
snow shovel, fire blanket, espresso grinder, aquarium duty, bee hive share, climbing rope, camera tripod,
radio handset, weather balloon, glue gun, vinyl cutter, label maker, hand truck, pallet jack, sound booth,
green screen, ring light, drone licence, welding mask, soldering iron, oscilloscope probe, microscope slide,
chess clock, board game crate, yoga mat, massage chair, rowing machine, swimming lane, sauna key, tennis
court, badminton net, football kit, archery target, ski pass, toboggan, tent, sleeping bag, camping stove,
fishing rod, picnic basket, barbecue grill, ice machine, popcorn maker, chocolate fountain, party tent,
stage curtain, disco ball, fog machine, costume rack, wig box, puppet theatre, magic hat, juggling set,
unicycle, pogo stick, hammock, rocking chair, grandfather clock, chandelier, wine fridge, cheese board,
bread oven, pasta press, juice press, honey jar, spice rack, tea chest, cigar cutter, ink well, wax seal,
quill pen, globe, atlas, sextant, barometer, metronome, tuning fork, music stand, violin bow, accordion,
harp, xylophone, gong, music box
"""
THINGS = tuple(" ".join(thing.split()) for thing in _LIST.split(","))
"""Small things of an office, each of them once."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing with a rule: the lines of its document, and a question about it."""

    thing: str
    lines: tuple[str, str]
    question: str

    @property
    def slug(self) -> str:
        """A file's name."""
        return self.thing.replace(" ", "-")


def subjects() -> Iterator[Subject]:
    """Each thing once."""
    for place, thing in enumerate(THINGS):
        price, days, room = 11 + place * 7 % 83, 3 + place * 5 % 26, f"{1 + place % 6}.{10 + place * 3 % 80}"
        rule = (
            f"Who wants the {thing} asks at the counter in room {room}. "
            f"The {thing} costs {price} euros a month and has to be returned after {days} days."
        )
        yield Subject(thing, (f"{thing.capitalize()}: the rules", rule), f"What does the {thing} cost a month?")
