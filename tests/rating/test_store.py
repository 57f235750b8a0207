"""The store: what it keeps, what it counts, what it forgets on request."""

import sqlite3
import uuid
from collections import Counter

import pandas as pd
import pytest
import sqlalchemy as sa

from evalkit.article import Evidence, evaluate
from evalkit.errors import StudyError, UnknownNameError
from evalkit.rating import (
    Session,
    Store,
    _database,
    export_csv,
    freeze,
    frozen_plans,
    import_csv,
    name_stimuli,
    plan_session,
)
from evalkit.rating._database import RatingsError
from evalkit.rating._schema import ANSWERS, ITEMS, VIEWS

SEED = 7
START = {"type": "start"}


@pytest.fixture
def rate(answer):
    """``rate(session, n)``: `n` scores, counted up; the last view."""

    def run(session, n):
        view = session.handle(START)
        for score in range(n):
            view = session.handle(answer(view, 1 + score % 5))
        return view

    return run


def cells_of(frame: pd.DataFrame) -> Counter:
    main = frame[~frame["is_training"] & (frame["repeat"] == 0)]
    main = main[~main["role"].isin(["gold", "trap"])]
    return Counter(zip(main["source"], main["condition"], strict=True))


def test_scores_are_a_table_that_statistics_can_read(store, panel, rate):
    folder = panel(store, 2)
    rate(Session(store, "s01", folder), 8)
    rate(Session(store, "s02", folder), 4)
    scores = store.scores()
    assert {"subject", "source", "condition", "score", "repeat"} <= set(scores)
    assert list(scores["subject"]) == ["s01"] * 8 + ["s02"] * 4
    assert set(scores["score"]) == {1, 2, 3, 4, 5}
    assert scores["is_training"].dtype == bool
    assert list(scores["role"][:4]) == ["gold", "anchor", "system", "reference"]


def test_choices_name_the_winner_wherever_it_stood(store, panel, answer):
    session = Session(store, "s01", panel(store, mode="ab"))
    view = session.handle(START)
    given = ["left", "right", "same", None]
    for value in given:
        view = session.handle(answer(view, value))
    choices = store.choices()
    assert list(choices["choice"]) == ["left", "right", "same"]
    assert list(choices["tied"]) == [False, False, True]
    is_left = choices["winner"] == choices["shown_left"]
    assert list(is_left) == [True, False, True]
    assert (choices["winner"] != choices["loser"]).all()


def test_claims_are_judged_from_postgresql_where_the_scores_are_there(
    cluster, need, panel, rate, tmp_path, monkeypatch
):
    need(cluster, "install PostgreSQL (Debian: apt install postgresql)")
    run = tmp_path / f"run-{uuid.uuid4().hex}"
    run.mkdir()
    store = Store(cluster, schema=f"evalkit-{run.name}")
    rate(Session(store, "s01", panel(store)), 12)
    monkeypatch.setenv("EVALKIT_RATINGS", cluster)
    n_counted = sum(cells_of(store.scores()).values())
    assert len(Evidence(run).scores) >= n_counted > 0
    evidence = evaluate(run)["evidence"]
    assert evidence.str.contains("the database that EVALKIT_RATINGS names").any()
    assert not evidence.str.contains("ratings.sqlite").any()


def test_a_subject_who_is_there_already_stays_the_same(store):
    numbers = [store.add_subject(name) for name in ("s01", "s02", "s01", "s03")]
    assert numbers == [0, 1, 0, 2]


@pytest.mark.parametrize("name", ["Anna", "a@b.org", "", "x" * 33, "a b", "../a"])
def test_only_pseudonyms_are_taken(store, name):
    with pytest.raises(StudyError, match="expected a pseudonym"):
        store.add_subject(name)


def test_planning_again_changes_nothing(store, outputs, panel, rate):
    folder = panel(store)
    view = rate(Session(store, "s01", folder), 6)
    panel(store)
    assert Session(store, "s01", folder).view() == view


def test_a_condition_that_comes_later_keeps_what_exists(store, outputs, rate, tmp_path):
    early = outputs[outputs["condition"] != "sharp-x4"]
    number = store.add_subject("s01")
    session = Session(store, "s01", tmp_path)
    plan = {"number": number, "seed": SEED, "minutes": 60}
    store.set_plan("s01", plan_session(early, **plan), name_stimuli(early, SEED))
    rate(session, 9)
    session.handle({"type": "undo"})
    before, view = store.scores(), session.view()
    store.set_plan("s01", plan_session(outputs, **plan), name_stimuli(outputs, SEED))
    assert store.scores().equals(before)
    assert session.view()["item"] == view["item"]
    rate(session, session.view()["progress"]["total"] - 8)
    scores = store.scores()
    assert set(cells_of(scores).values()) == {1}
    assert len(cells_of(scores)) == 14
    rest = scores[~scores["is_training"]]
    assert Counter(rest["role"])["gold"] == 2
    assert Counter(rest["role"])["trap"] == 1
    assert len(scores[scores["is_training"]]) == 4


def test_a_closed_session_is_not_planned_again(store, outputs, panel, rate):
    early = outputs[outputs["condition"] != "sharp-x4"]
    plan = plan_session(early, number=store.add_subject("s01"), seed=SEED)
    store.set_plan("s01", plan, name_stimuli(early, SEED))
    session = Session(store, "s01", None)
    rate(session, len(plan))
    view = session.handle({"type": "finish"})
    panel(store)
    assert session.view() == view


def test_scores_of_a_picture_that_has_changed_are_kept_and_not_counted(
    store, outputs, panel, rate, tmp_path
):
    session = Session(store, "s01", panel(store))
    rate(session, session.view()["progress"]["total"])
    n_before, n_soft = (
        len(store.scores()),
        (store.scores()["condition"] == "soft-x2").sum(),
    )
    is_soft = outputs["condition"] == "soft-x2"
    picture = outputs["picture"].where(~is_soft, "another")
    changed = name_stimuli(outputs.assign(picture=picture), SEED)
    items = plan_session(outputs, number=0, seed=SEED)
    store.set_plan("s01", items, changed)
    assert len(store.scores()) == n_before - n_soft
    assert "soft-x2" not in set(store.scores()["condition"])
    store.set_plan("s01", items, name_stimuli(outputs, SEED))
    assert len(store.scores()) == n_before


def test_the_digest_changes_with_every_score_and_with_nothing_else(
    store, panel, answer
):
    digests = [store.digest()]
    session = Session(store, "s01", panel(store))
    view = session.handle(START)
    assert store.digest() == digests[0]
    for event in (answer(view, 2), {"type": "undo"}, answer(view, 3)):
        session.handle(event)
        digests.append(store.digest())
    session.handle({"type": "pause"})
    assert store.digest() == digests[-1]
    assert digests[0] == digests[2]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("name", ["=1+1|cmd", "@SUM(A1)", "-x", "'=quoted", "\tx"])
def test_no_name_is_a_formula_in_a_spreadsheet(store, panel, rate, tmp_path, name):
    rate(Session(store, "s01", panel(store, 1, mode="both", minutes=10)), 3)
    with store.write() as connection:
        connection.execute(sa.update(ITEMS).values(source=name, left=name))
    export_csv(store, tmp_path / "all.csv")
    raw = pd.read_csv(tmp_path / "all.csv", dtype=str, keep_default_na=False)
    assert set(raw["source"]) == {f"'{name}"}
    other = Store(tmp_path / "other.sqlite")
    import_csv(other, tmp_path / "all.csv")
    pd.testing.assert_frame_equal(other.scores(), store.scores())


def test_csv_brings_every_answer_to_another_store(store, panel, rate, tmp_path):
    folder = panel(store, 3, mode="both", minutes=10)
    for subject, n in (("s01", 7), ("s02", 3)):
        rate(Session(store, subject, folder), n)
    Session(store, "s01", folder).handle({"type": "undo"})
    secret = store.link("s01", days=1)
    assert export_csv(store, tmp_path / "all.csv") == 10
    assert secret not in (tmp_path / "all.csv").read_text(encoding="utf-8")
    other = Store(tmp_path / "other.sqlite")
    assert import_csv(other, tmp_path / "all.csv") == 10
    assert import_csv(other, tmp_path / "all.csv") == 0
    pd.testing.assert_frame_equal(other.scores(), store.scores())
    assert other.subjects() == {"s01": 0, "s02": 1}
    export_csv(other, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text(encoding="utf-8") == (
        tmp_path / "all.csv"
    ).read_text(encoding="utf-8")
    view = Session(store, "s01", folder).view()
    panel(other, 2, mode="both", minutes=10)
    there = Session(other, "s01", folder).view()
    assert there["item"]["kind"] == view["item"]["kind"]
    assert there["progress"] == view["progress"]


def test_a_file_that_contradicts_the_store_is_refused_whole(
    store, panel, rate, tmp_path
):
    rate(Session(store, "s01", panel(store)), 3)
    export_csv(store, tmp_path / "all.csv")
    other = Store(tmp_path / "other.sqlite")
    rate(Session(other, "s01", panel(other)), 2)
    with pytest.raises(StudyError, match="has another session in this store"):
        import_csv(other, tmp_path / "all.csv")
    assert len(other.scores()) == 2
    (tmp_path / "bad.csv").write_text("subject,score\ns01,5\n", encoding="utf-8")
    with pytest.raises(StudyError, match="expected columns"):
        import_csv(other, tmp_path / "bad.csv")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (
            "value",
            "True",
            "row 3: value must be 1 to 5 or null; found 'True' of an item",
        ),
        ("value", "6", "row 3: value must be 1 to 5 or null; found '6'"),
        ("value", "3.0", "row 3: value must be 1 to 5 or null; found '3.0'"),
        ("value", "left", "1 to 5 or null; found 'left' of an item of kind acr"),
        ("seconds", "1e308", "row 3: seconds must be 2592000 or less"),
        ("seconds", "nan", "row 3: seconds must be a finite number"),
        ("seconds", "-1", "row 3: seconds must be 0 or more; found '-1'"),
        ("seconds", "soon", "row 3: seconds must be a number; found 'soon'"),
        ("subject", "Ann Smith", "row 3: subject must be text that fits"),
        ("left_stimulus", "../../secret", "row 3: left_stimulus must be text that"),
        ("tags", '["<b>"]', "row 3: tags must be text that fits"),
        ("tags", "[", "row 3: tags"),
        ("tags", '["made-up"]', "row 3: tags: must be among plastic, "),
        ("tags", '["plastic", "plastic"]', "row 3: tags: must differ"),
        ("source", "a\0b", "row 3: source must be text that fits"),
        ("attempt", "a\0b", "row 3: attempt must be text that fits"),
        ("is_training", "maybe", "row 3: is_training must be true or false"),
        ("answered_at", "noon", "row 3: answered_at"),
        ("position", "", "row 3: position must be a whole number; found nothing"),
    ],
)
def test_a_file_is_taken_by_the_rules_of_the_page(
    store, panel, rate, tmp_path, column, value, said
):
    rate(Session(store, "s01", panel(store)), 3)
    export_csv(store, tmp_path / "all.csv")
    answers = pd.read_csv(tmp_path / "all.csv", dtype=str, keep_default_na=False)
    answers.loc[1, column] = value
    answers.to_csv(tmp_path / "all.csv", index=False)
    other = Store(tmp_path / "other.sqlite")
    with pytest.raises(StudyError, match=r"all\.csv") as caught:
        import_csv(other, tmp_path / "all.csv")
    assert said in str(caught.value)
    assert other.subjects() == {}


def test_an_impossible_score_of_a_file_reaches_no_database(
    database, panel, rate, tmp_path
):
    store = database()
    rate(Session(store, "s01", panel(store)), 3)
    export_csv(store, tmp_path / "all.csv")
    store.delete_subject("s01")
    text = (tmp_path / "all.csv").read_text(encoding="utf-8")
    bad = text.replace('"2","[]"', '"<b>","[]"')
    assert bad != text
    (tmp_path / "bad.csv").write_text(bad, encoding="utf-8")
    with pytest.raises(StudyError, match="row 3: value must be 1 to 5 or null; found"):
        import_csv(store, tmp_path / "bad.csv")
    assert store.subjects() == {}
    assert import_csv(store, tmp_path / "all.csv") == 3
    assert list(store.scores()["score"]) == [1, 2, 3]


@pytest.mark.parametrize(
    "wrong", [{"value": "99"}, {"value": "<b>"}, {"seconds": -1}, {"seconds": 1e308}]
)
def test_the_store_itself_takes_no_impossible_answer(store, panel, rate, wrong):
    session = Session(store, "s01", panel(store))
    rate(session, 1)
    row = {"item": session.view()["item"]["id"], "attempt": "a", "tags": "[]"}
    row |= {"value": "3", "seconds": 1.0, "answered_at": "2026-01-01"} | wrong
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        connection.execute(sa.insert(ANSWERS).values(row))
    assert len(store.scores()) == 1


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfes\0u\0", b"\0" * 99])
def test_a_file_that_is_no_export_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "all.csv").write_bytes(content)
    with pytest.raises(StudyError, match=r"all\.csv: expected"):
        import_csv(Store(tmp_path / "a.sqlite"), tmp_path / "all.csv")


def test_a_store_says_its_version_and_one_of_the_first_evalkit_is_taken(tmp_path):
    file = tmp_path / "ratings.sqlite"
    Store(file).add_subject("s01")
    for version in (1, 0):  # the first said none
        with sqlite3.connect(file) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            connection.execute(f"PRAGMA user_version = {version}")
        assert Store(file).subjects() == {"s01": 0}


def test_a_store_of_a_later_evalkit_is_refused(database):
    store = database()
    store.add_subject("s01")
    is_sqlite = store.engine.dialect.name == "sqlite"
    with store.write() as connection:
        if not is_sqlite:
            connection.exec_driver_sql("COMMENT ON TABLE subjects IS '2'")
    if is_sqlite:
        with sqlite3.connect(store.engine.url.database) as raw:
            raw.execute("PRAGMA user_version = 2")
    with pytest.raises(RatingsError, match="found 2: a later evalkit made them"):
        database()


def test_a_store_of_the_first_form_is_taken_with_its_answers(
    database, panel, rate, answer
):
    store = database()
    folder = panel(store)
    rate(Session(store, "s01", folder), 5)
    with store.write() as connection:
        for view in VIEWS:
            connection.exec_driver_sql(f"DROP VIEW {view}")
        for table, column in (("answers", "server_seconds"), ("subjects", "shown_at")):
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.exec_driver_sql("DROP TABLE secrets")
        for name, query in VIEWS.items():
            older = query.replace("a.server_seconds, ", "")
            connection.exec_driver_sql(f"CREATE VIEW {name} AS {older}")
    store.engine.dispose()
    again = database()
    assert len(again.scores()) == 5
    assert again.scores()["server_seconds"].isna().all()
    session = Session(again, "s01", folder)
    session.handle(answer(session.view()))
    session.handle(answer(session.view()))
    assert again.scores()["server_seconds"].notna().sum() == 1
    assert len(again.answers().times) == len(again.answers().scores)


def test_a_secret_is_drawn_once_and_a_plan_frozen_once(database, panel, rate):
    store, other = database(), database()
    assert store.secret("order") == other.secret("order") != other.secret("seal")
    assert store.order_seed(7) == other.order_seed(7) != store.order_seed(8)
    first = freeze(store, {"question": "quality", "b": [1], "a": "é"})
    assert freeze(other, {"a": "é", "b": [1], "question": "quality"}) == first
    second = freeze(store, {"question": "identity"})
    assert frozen_plans(other) == [second]
    folder = panel(store)
    rate(Session(store, "s01", folder), 4)  # training
    second = freeze(store, {"question": "quality"})
    rate(Session(store, "s01", folder), 1)
    third = freeze(store, {"question": "How sharp is it?"})
    assert frozen_plans(other) == [second, third]
    asked = Session(store, "s01", folder).view()["question"]
    assert asked == {"kind": "own", "text": "How sharp is it?"}


def test_a_store_without_the_columns_that_came_later_gets_them(
    store, database, panel, rate
):
    rate(Session(store, "s01", panel(store)), 2)
    later = {"answers": ["seen", "sides"], "subjects": ["may_publish"]}
    scores = store.scores()
    with store.write() as connection:
        for view in ("scores", "choices"):
            connection.exec_driver_sql(f"DROP VIEW {view}")
        for table, columns in later.items():
            for column in columns:
                connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.exec_driver_sql(
            "CREATE VIEW scores AS SELECT item FROM answers"  # as an older evalkit's
        )
    pd.testing.assert_frame_equal(database().scores(), scores)


def test_tables_of_another_form_are_refused_at_once(tmp_path):
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        connection.execute("CREATE TABLE subjects (subject TEXT PRIMARY KEY)")
    with pytest.raises(
        RatingsError, match="expected a table subjects with agreed_at, ex"
    ):
        Store(tmp_path / "a.sqlite")


def test_a_store_that_cannot_be_used_is_told_without_sql(tmp_path, monkeypatch):
    whole = tmp_path / "whole.sqlite"
    store = Store(whole)
    store.add_subject("s01")
    store.engine.dispose()
    half = tmp_path / "half.sqlite"
    content = whole.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    (tmp_path / "noise.sqlite").write_bytes(b"no database" * 999)
    (tmp_path / "folder.sqlite").mkdir()
    for name in ("half", "noise", "folder"):
        file = tmp_path / f"{name}.sqlite"
        before = None if file.is_dir() else file.read_bytes()
        with pytest.raises(RatingsError, match=rf"{name}\.sqlite: ") as caught:
            Store(file).subjects()
        assert "SELECT" not in str(caught.value)
        assert "sqlalche" not in str(caught.value)
        assert file.is_dir() or file.read_bytes() == before
    monkeypatch.setattr(_database, "WAIT_S", 0.1)
    with sqlite3.connect(whole, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RatingsError, match="another process held it"):
            Store(whole)


def test_a_file_name_is_no_url(tmp_path):
    folder = tmp_path / "a?b=c#d%20"
    Store(folder / "ratings.sqlite").add_subject("s01")
    assert (folder / "ratings.sqlite").stat().st_size


def test_a_subject_can_be_deleted_and_nothing_of_them_is_left(store, panel, rate):
    folder = panel(store, 2)
    for subject in ("s01", "s02"):
        rate(Session(store, subject, folder), 3)
    secret = store.link("s01", days=1)
    store.delete_subject("s01")
    assert set(store.scores()["subject"]) == {"s02"}
    assert store.subject_of(secret) is None
    assert list(store.progress().index) == ["s02"]
    with pytest.raises(UnknownNameError, match="unknown subject 's01'; known: s02"):
        store.delete_subject("s01")
    assert store.add_subject("s03") == 0  # the place in the square is free again


def test_a_deleted_pseudonym_is_in_no_byte_of_any_file(tmp_path, panel, rate):
    server = Store(tmp_path / "ratings.sqlite")
    server.add_subject("remember-me")
    assert "remember-me" in server.subjects()  # and the file stays open
    wal = tmp_path / "ratings.sqlite-wal"
    assert b"remember-me" in wal.read_bytes()
    assert Store(tmp_path / "ratings.sqlite").delete_subject("remember-me")
    assert b"remember-me" not in wal.read_bytes()
    for file in tmp_path.iterdir():
        assert b"remember-me" not in file.read_bytes()
    server.add_subject("another")
    assert server.subjects() == {"another": 0}


def test_a_log_that_another_process_reads_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(_database, "WAIT_S", 0.1)
    store = Store(tmp_path / "ratings.sqlite")
    store.add_subject("remember-me")
    with sqlite3.connect(tmp_path / "ratings.sqlite", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM subjects").fetchall()
        assert not store.delete_subject("remember-me")
        reader.execute("COMMIT")
    assert store.subjects() == {}
    assert store.truncate_log()
    assert b"remember-me" not in (tmp_path / "ratings.sqlite-wal").read_bytes()


def test_links_cannot_be_guessed_stay_and_expire(store):
    for subject in ("s01", "s02"):
        store.add_subject(subject)
    first, second = (store.link(subject, days=1) for subject in ("s01", "s02"))
    assert len(first) >= 43  # 32 bytes
    assert first != second
    assert store.link("s01", days=1) == first
    assert store.subject_of(first) == "s01"
    assert store.subject_of(first[:-1]) is None
    store.add_subject("s03")
    expired = store.link("s03", days=-1)
    assert store.subject_of(expired) is None
    assert store.link("s03", days=1) != expired


def test_progress_counts_items_and_standing_answers(store, panel, rate):
    folder = panel(store, 2)
    view = rate(Session(store, "s01", folder), 4)
    Session(store, "s01", folder).handle({"type": "undo"})
    progress = store.progress()
    assert list(progress.columns) == ["state", "items", "answered"]
    assert list(progress["answered"]) == [3, 0]
    assert list(progress["state"]) == ["rate", "welcome"]
    assert progress.loc["s01", "items"] == view["progress"]["total"]


def test_sqlite_writes_through_to_the_disk_and_is_closed_to_others(tmp_path):
    store = Store(tmp_path / "ratings.sqlite")
    with store.write() as connection:
        ask = connection.exec_driver_sql
        assert ask("PRAGMA journal_mode").scalar() == "wal"
        assert ask("PRAGMA synchronous").scalar() == 2  # FULL
    assert (tmp_path / "ratings.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "\x00\x01PK", 'subject,value\n"s01'])
def test_nobody_is_told_to_delete_a_damaged_file_of_answers(store, tmp_path, content):
    path = tmp_path / "all.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(StudyError, match=r"all\.csv") as caught:
        import_csv(store, path)
    assert "once it is deleted" not in str(caught.value)
