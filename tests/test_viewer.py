"""The one viewer: a module that needs nothing, and small enough to be read."""

from evalkit.paths import PACKAGE
from evalkit.viewer import with_viewer

SCRIPTS = {path.name: path.read_text("utf-8") for path in PACKAGE.rglob("*.js")}
SITES = [path for path in PACKAGE.rglob("*.js") if path.name != "viewer.js"]


def test_it_is_one_module_that_imports_nothing():
    viewer = SCRIPTS["viewer.js"]
    assert viewer.count("\n") <= 600
    assert "\nexport function mount(element, pictures, options = {})" in viewer
    assert "import" not in viewer.replace("An ES module that imports nothing", "")
    assert "</script" not in viewer


def test_scripts_are_few():
    """Lines of code are counted as Python's: without comments and blanks."""
    texts = (path.read_text("utf-8") for path in PACKAGE.rglob("*.js"))
    lines = (line.strip() for text in texts for line in text.splitlines())
    code = [line for line in lines if line and not line.startswith(("//", "/*", "*"))]
    assert len(code) <= 1500


def test_nobody_else_zooms():
    """A second viewer would have a wheel, or fingers, of its own."""
    for path in SITES:
        script = path.read_text("utf-8")
        assert "wheel" not in script, path
        assert "pointermove" not in script, path


def test_a_page_gets_it_before_its_own_script():
    script = with_viewer("mount(document.body, []);")
    assert script.index("export function mount") < script.index("mount(document.body")
