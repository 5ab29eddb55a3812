"""A desk without models behind the real server, for what only a process of its own shows. Run as a program.

    python tests/slow_server.py HOME WORD_S DRAIN_S

Prints its port once it listens. Every word of an answer takes WORD_S seconds.
"""

import sys
from pathlib import Path

from fake_desk import FakeDesk
from web_kit import web_app

from app.server import claim_port, serve
from app.settings import load_settings


def main() -> None:
    home, word_s, drain_s = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    settings = load_settings(home=home, chat={"drain_seconds": drain_s})
    with claim_port("127.0.0.1", 0) as port:
        app = web_app(FakeDesk(word_s, 0), home)
        print(port.getsockname()[1], flush=True)
        serve(app, port, settings)


if __name__ == "__main__":
    main()
