"""The workplace of the help desk: what its pages work with, put together once for a desk that serves people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.accounts.holdings import Holdings
from app.database import Database
from app.loop.corrections import Corrections
from app.people import Person
from app.staff.gaps import Gaps
from app.staff.handover_post import Post
from app.staff.handovers import Handovers
from app.staff.judged import JudgedAnswers
from app.staff.packet_page import Reader

if TYPE_CHECKING:
    from app.desk import Desk


@dataclass(frozen=True, slots=True)
class Staff:
    """The parts. `title` is what the help desk is called."""

    title: str
    desk: "Desk"
    database: Database
    holdings: Holdings
    handovers: Handovers
    post: Post
    judged: JudgedAnswers
    corrections: Corrections
    gaps: Gaps

    def counts(self) -> Mapping[str, int]:
        """How much waits, by the keys of the sections (`app.staff.frame`)."""
        active = self.corrections.all()
        again = sum(one.suspended for one in active)
        review = sum(one.state == "serving" and not one.suspended for one in active)
        return {"queue": self.handovers.waiting() + self.judged.waiting() + again, "corrections": review}

    def reader(self, person: Person) -> Reader:
        """What somebody of the help desk may see."""
        return Reader(person.groups, self.holdings, self.desk.document)


def workplace(desk: "Desk") -> Staff:
    """The workplace of a desk. From here on the desk gives what the help desk corrected."""
    database, settings = desk.database, desk.settings.handover
    holdings = Holdings(desk.searcher.open)
    post = Post(database, settings, holdings.may_read)
    corrections = Corrections(database, holdings)
    desk.corrections = corrections.served
    return Staff(
        title=desk.settings.chat.title,
        desk=desk,
        database=database,
        holdings=holdings,
        handovers=Handovers(database, settings.channels, post.wake),
        post=post,
        judged=JudgedAnswers(database),
        corrections=corrections,
        gaps=Gaps(database, desk.searcher.embed),
    )
