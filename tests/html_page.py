"""An HTML page as tests read it: its tags, its text, its tables."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input", "line", "rect", "circle", "polyline"}
HIDDEN = {"style", "script", "title", "desc"}


class HtmlPage(HTMLParser):
    """tags: (name, attributes) in order. headings: (level, text). tables: caption -> first cell -> the other cells."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.headings, self.tables, self.problems = [], [], {}, []
        self._open, self._words, self._cells, self._caption = [], [], [], ""
        self.text = ""
        self.feed(text)
        self.close()
        self.problems += [f"{name} is not closed" for name in self._open]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag in ("th", "td", "caption") or (tag[0] == "h" and tag[1:].isdigit()):
            self._words = []
        if tag == "tr":
            self._cells = []

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes another tag")
        words = " ".join("".join(self._words).split())
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append((int(tag[1:]), words))
        elif tag == "caption":
            self._caption = words
            self.tables[words] = {}
        elif tag in ("th", "td"):
            self._cells.append(words)
        elif tag == "tr":
            self.tables[self._caption][self._cells[0]] = self._cells[1:]

    def handle_data(self, data):
        self._words.append(data)
        if not HIDDEN & set(self._open):
            self.text += data

    def all(self, tag):
        """The attributes of all tags of this name."""
        return [attributes for name, attributes in self.tags if name == tag]
