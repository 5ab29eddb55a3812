"""How a report looks: sections, charts, HTML, Markdown."""
