"""What near misses ask for: places, things and details that companies have and that these documents may not name.

Plain data. A detail has the words whose absence near a subject shows that nothing is said of it.
"""

from dataclasses import dataclass

from finetune.synthesis.english import word_set


@dataclass(frozen=True, slots=True)
class Detail:
    """A form of question about a subject, and the words that a text which answers it would hold one of."""

    form: str
    words: frozenset[str]


def _list(names: str) -> tuple[str, ...]:
    return tuple(names.split())


def _details(*entries: tuple[str, str]) -> tuple[Detail, ...]:
    return tuple(Detail(form, frozenset(words.split())) for form, words in entries)


OF_TOPICS = _details(
    ("Do the rules on {it} also hold for interns?", "intern interns trainee trainees student students"),
    (
        "Do the rules on {it} hold for agency workers as well?",
        "agency temporary temp contractor contractors freelancers",
    ),
    ("Is {it} also meant for retired colleagues?", "retired retirement pensioner"),
    ("Does {it} extend to family members?", "family partner partners children spouse child"),
    ("Is there a training video on {it}?", "video videos film recording"),
    ("Is there an app for {it}?", "app apps mobile phone"),
    ("Which law is behind the rules on {it}?", "law laws act regulation legal statute code"),
    ("What did {it} cost the company last year?", "cost costs budget spent spend"),
    ("Which budget pays for {it}?", "budget budgets cost funded pays paid"),
    ("How satisfied were employees with {it} in the last survey?", "survey satisfaction satisfied"),
    ("Who do I call about {it} at the weekend?", "weekend weekends saturday sunday hotline"),
    ("Is there a form in French for {it}?", "french languages language translation"),
    ("Which consultants advised on {it}?", "consultant consultants consultancy adviser advisers"),
    ("How many complaints about {it} were there last year?", "complaint complaints"),
    ("What does the works council say about {it}?", "council union"),
    ("Is there an age limit for {it}?", "age aged years older younger"),
    ("Is {it} taxed?", "tax taxed taxes taxable taxation"),
    ("Who started {it} in the company?", "founded founder started introduced"),
    ("When was {it} last audited?", "audit audited audits auditors auditor"),
    ("Is there a printed leaflet on {it}?", "leaflet printed print poster brochure paper"),
    ("How long is the waiting list for {it}?", "waiting queue list"),
    ("What is planned for {it} next year?", "plan planned plans roadmap next future"),
    ("What happens with {it} during a strike?", "strike strikes"),
    ("Is {it} suspended in the summer?", "summer july august suspended"),
)
OF_PEOPLE = _details(
    ("What is the extension of {it}?", "ext extension tel phone call number"),
    ("What is the mobile number of {it}?", "mobile phone cell number"),
    ("On which days does {it} work?", "monday tuesday wednesday thursday friday days mon"),
    ("Who stands in for {it} during holidays?", "deputy stand backup substitute replaced cover"),
    ("In which room does {it} sit?", "room floor suite desk office"),
    ("How long has {it} been with the company?", "joined since years"),
    ("When is the birthday of {it}?", "birthday born"),
    ("Who is the manager of {it}?", "manager reports head director"),
    ("What did {it} do before?", "formerly previously career former"),
)
_OF_SOFTWARE = _details(
    ("Is there a Linux version of {it}?", "linux"),
    ("What does {it} cost?", "eur usd cost costs price prices euro euros free charge"),
    ("Can I use {it} on my private tablet?", "tablet private"),
    ("Which company makes {it}?", "maker manufacturer supplier vendor made"),
    ("Where can I find the manual for {it}?", "manual guide instructions handbook"),
    ("What will replace {it}?", "replace replaced replacement successor replaces"),
    ("Who gives courses on {it}?", "course courses training trainer"),
    ("When does the contract for {it} end?", "contract contracts term"),
    ("How many complaints about {it} were there?", "complaint complaints"),
    ("In which languages does {it} come?", "language languages"),
)
_OF_EQUIPMENT = _details(
    ("What is the weight of {it}?", "kg weight weighs gram pounds"),
    ("How long is the warranty on {it}?", "warranty guarantee guaranteed"),
    ("Which company makes {it}?", "maker manufacturer supplier vendor made"),
    ("What does {it} cost?", "eur usd cost costs price prices euro euros free charge"),
    ("In which colours does {it} come?", "colour colours color colors black blue"),
    ("Where can I find the manual for {it}?", "manual guide instructions handbook"),
    ("How long does the battery of {it} last?", "battery batteries"),
    ("When was {it} bought?", "bought purchased purchase acquired"),
    ("How much electricity does {it} use?", "watt electricity power energy"),
    ("Is {it} insured against theft?", "insured insurance theft"),
    ("Who repairs {it}?", "repair repairs repaired"),
)
_OF_ROOMS = _details(
    ("How many square metres has {it}?", "m2 square metres area"),
    ("Is {it} air-conditioned?", "air ventilation conditioned"),
    ("What is the phone number in {it}?", "phone ext extension"),
    ("Who cleans {it}?", "clean cleans cleaning cleaned"),
    ("Can {it} be rented by other firms?", "rent rented hire external"),
    ("Is there a wheelchair ramp at {it}?", "wheelchair ramp accessible"),
    ("When was {it} painted last?", "painted paint"),
)
OF_THINGS = (
    (word_set("product software tool application app system program"), _OF_SOFTWARE),
    (word_set("item model device machine equipment vehicle printer laptop"), _OF_EQUIPMENT),
    (word_set("room rooms hall"), _OF_ROOMS),
)
"""Details of the rows of a table, by a word of the name of its first column."""
PLACES = _list(
    "Madrid Oslo Vienna Toronto Nairobi Osaka Lyon Gdansk Helsinki Bogotá Perth Manchester Antwerp Milan "
    "Seoul Tallinn Geneva Budapest Boston Auckland Zagreb Malmö Bristol Leipzig Valencia Glasgow Athens "
    "Jakarta Montreal Cork Hamburg Turin Nice Naples Bergen Bordeaux Dresden Graz Kraków Seville"
)
COUNTRIES = _list(
    "Norway Peru Kenya Iceland Vietnam Chile Morocco Estonia Thailand Ghana Uruguay Nepal Jordan Malta Cuba"
)
YEARS = tuple(str(year) for year in range(2008, 2036) if not 2021 <= year <= 2028)
KINDS = (
    (
        word_set("product software tool application app system program"),
        _list(
            "AutoCAD Notion Trello Grammarly Miro Asana Tableau Blender Dropbox Evernote Photoshop Figma Zapier "
            "Basecamp SketchUp"
        ),
    ),
    (word_set("room rooms meeting"), _list("Aurora Horizon Maple Galileo Cedar Meridian Juniper Polaris")),
    (
        word_set("item equipment device thing article"),
        (
            *("label printer", "laminating machine", "wireless keyboard", "ring light", "webcam tripod", "megaphone"),
            *("trolley", "3D printer", "virtual reality headset", "dictaphone", "binding machine", "steam iron"),
        ),
    ),
    (
        word_set("department team unit group"),
        ("Investor Relations", "Sustainability", "Export Sales", "Customer Training", "Patents", "Internal Audit"),
    ),
    (
        word_set("role position function person who"),
        ("works doctor", "data steward", "union representative", "press officer", "archivist", "chaplain"),
    ),
    (word_set("country nation"), COUNTRIES),
    (word_set("city site location office place town"), PLACES),
    (word_set("card"), ("Student card", "Fuel card", "Platinum card")),
    (word_set("model laptop"), ("Fjell 17", "Model Z9", "Surface tablet", "Chromebook")),
    (
        word_set("occasion reason event"),
        ("a jubilee", "a house blessing", "adopting a dog", "a school play", "a marathon"),
    ),
    (
        word_set("what expense category cost"),
        ("a gym visit", "a train magazine", "dry cleaning", "a language app", "a wedding gift"),
    ),
)
"""Rows that a table might have, by words of the name of its first column."""
