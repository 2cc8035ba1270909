import collections
import re

import pytest

from raysee.errors import ConfigurationError
from raysee.synthesis.layouts import LAYOUTS
from raysee.synthesis.layouts.layout import Clip, Layout, dealt, mixed
from raysee.synthesis.voice import EMOTIONS

# Keesing et al. 2020, Table 1, its columns as they are headed there.
TABLE_1 = {
    "cafe": {"ang": 144, "hap": 144, "sad": 144, "fear": 144, "sur": 144, "dis": 144, "neu": 72},
    "cremad": {"ang": 1271, "hap": 1271, "sad": 1270, "fear": 1271, "dis": 1271, "neu": 1087},
    "demos": {"ang": 246, "hap": 167, "sad": 422, "fear": 177, "sur": 203, "dis": 140, "oth": 209},
    "emofilm": {"ang": 232, "hap": 240, "sad": 254, "fear": 221, "dis": 168},
    "enterface": {"ang": 215, "hap": 212, "sad": 215, "fear": 215, "sur": 215, "dis": 215},
    "iemocap": {"ang": 1103, "hap": 1636, "sad": 1084, "neu": 1708},
    "jl": {"ang": 240, "hap": 240, "sad": 240, "neu": 240, "oth": 240},
    "msp_improv": {"ang": 792, "hap": 2644, "sad": 885, "neu": 3477},
    "portuguese": {"ang": 63, "hap": 46, "sad": 59, "fear": 41, "sur": 64, "dis": 35, "neu": 60},
    "ravdess": {"ang": 192, "hap": 192, "sad": 192, "fear": 192, "sur": 192, "dis": 192, "neu": 96, "oth": 192},
    "savee": {"ang": 60, "hap": 60, "sad": 60, "fear": 60, "sur": 60, "dis": 60, "neu": 120},
    "shemo": {"ang": 1059, "hap": 201, "sad": 449, "sur": 225, "neu": 1028},
    "smartkom": {"ang": 99, "hap": 118, "sad": 54, "sur": 9, "neu": 1786, "oth": 183, "unk": 46},
    "tess": {"ang": 400, "hap": 400, "sad": 400, "fear": 400, "sur": 400, "dis": 400, "neu": 400},
}
# Not of Table 1: the song of RAVDESS, and EMO-DB without the listeners' selection.
OTHER_COUNTS = {
    "ravdess_song": {"ang": 184, "hap": 184, "sad": 184, "fear": 184, "neu": 92, "oth": 184},
    "emodb": {"ang": 100, "hap": 100, "sad": 100, "fear": 100, "dis": 100, "neu": 100, "oth": 100},
}
COLUMNS = {
    "anger": "ang",
    "happiness": "hap",
    "sadness": "sad",
    "fear": "fear",
    "surprise": "sur",
    "disgust": "dis",
    "neutral": "neu",
    "unknown": "unk",
    **dict.fromkeys(("calm", "boredom", "guilt", "excited", "pondering"), "oth"),
    "helplessness": "sad",
}
# Files with sound that the paper leaves out.
LEFT_OUT = {"cremad": 1, "demos": 531, "enterface": 6, "iemocap": 512, "jl": 1200, "msp_improv": 640} | {
    "shemo": 38,
    "smartkom": 2,
}
# Speakers of what is taken, and how many of them are female; None where the corpus does not say.
SPEAKERS = {
    "cafe": (12, 6),
    "cremad": (91, 43),
    "demos": (59, 21),
    "emodb": (10, 5),
    "emofilm": (30, 15),
    "enterface": (43, None),
    "iemocap": (10, 5),
    "jl": (4, 2),
    "msp_improv": (12, 6),
    "portuguese": (2, None),
    "ravdess": (24, 12),
    "ravdess_song": (23, 11),
    "savee": (4, 0),
    "shemo": (87, 31),
    "smartkom": (86, None),
    "tess": (2, 2),
}
NAMES = {
    "cafe": r"(Neutre|(Col\u00e8re|De\u0301gou\u0302t|Joie|Peur|Surprise|Tristesse)/F(aible|ort))"
    r"/\d\d-[CDJNPST]-[12]-[1-6]\.wav",
    "cremad": r"AudioWAV/10\d\d_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)\.wav",
    "demos": r"(DEMOS/(PR|NP)_[fm]_\d\d_(rab|tri|gio|pau|dis|col|sor)|NEU/PR_[fm]_\d\d_neu)\d\d[a-c]\.wav",
    "emodb": r"wav/\d\d[ab]\d\d[WLEAFTN]a\.wav",
    "emofilm": r"[fm]_(ans|dis|gio|rab|tri)\d{3}[a-c](en|es|it)\.wav",
    "enterface": r"subject \d+/[a-z]+/(sentence [1-5]/s_?\d+_[a-z]{2}_[1-5](avi)?|s6_[a-z]{2})\.avi",
    "iemocap": r"Session([1-5])/sentences/wav/(Ses0\1[FM]_(impro0\d|script0\d_\db?))/\2_[FM](\d{3}|XX0)\.wav",
    "jl": r"Raw JL corpus \(unchecked and unannotated\)/JL\(wav\+txt\)/(fe)?male[12]_[a-z]+_\d+[ab]_[12]\.wav",
    "msp_improv": r"session([1-6])/(S\d\d[AHSN])/([RPST])/MSP-IMPROV-\2-[FM]0\1-\3-[FM]{2}\d\d\.wav",
    "portuguese": r"\d+[sp][AB]_(angry|disgust|fear|happy|sad|neutral|surprise)\d+\.wav",
    "ravdess": r"Audio_Speech_Actors_01-24/Actor_(\d\d)/03-01-0\d-0[12]-0[12]-0[12]-\1\.wav",
    "ravdess_song": r"Audio_Song_Actors_01-24/Actor_(?!18)(\d\d)/03-02-0[1-6]-0[12]-0[12]-0[12]-\1\.wav",
    "savee": r"AudioData/(DC|JE|JK|KL)/(sa|su|a|d|f|h|n)\d\d\.wav",
    "shemo": r"(male/M|female/F)\d\d[AHNSWF]\d\d\.wav",
    "smartkom": r"SK-Public/(w\d{3}_pk)/\1d\.wav",
    "tess": r"[OY]AF_[A-Za-z_]+/(OAF|YAF|OA)_[a-z]+_(angry|disgust|fear|happy|ps|sad|neutral)\.wav",
}


@pytest.fixture(scope="module")
def full() -> dict[str, Layout]:
    return {name: layout() for name, layout in LAYOUTS.items()}


def taken(layout: Layout) -> list[Clip]:
    return [clip for clip in layout.clips if not clip.left_out]


def test_there_is_a_layout_of_every_corpus_of_the_paper_and_of_the_song() -> None:
    assert LAYOUTS.keys() == TABLE_1.keys() | OTHER_COUNTS.keys()
    assert sum(sum(counts.values()) for counts in TABLE_1.values()) + 535 == 37_752


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_the_paper_takes_has_its_counts(full: dict[str, Layout], name: str) -> None:
    counted = collections.Counter(COLUMNS[clip.label] for clip in taken(full[name]))
    assert counted == (TABLE_1 | OTHER_COUNTS)[name]
    assert len(full[name].clips) - len(taken(full[name])) == LEFT_OUT.get(name, 0)


@pytest.mark.parametrize("name", LAYOUTS)
def test_names_are_of_the_grammar_and_unique(full: dict[str, Layout], name: str) -> None:
    clips = full[name].clips
    strange = [clip.path for clip in clips if not re.fullmatch(NAMES[name], clip.path)]
    assert strange == []
    assert len({(clip.path, clip.span) for clip in clips}) == len(clips)
    assert not full[name].files.keys() & {clip.path for clip in clips}
    stems = {clip.path.rpartition("/")[2] for clip in clips}
    assert name in {"savee", "enterface", "smartkom"} or len(stems) == len(clips)


@pytest.mark.parametrize("name", LAYOUTS)
def test_speakers_are_as_many_as_in_the_corpus(full: dict[str, Layout], name: str) -> None:
    genders = {clip.speaker: clip.gender for clip in taken(full[name])}
    num_speakers, num_female = SPEAKERS[name]
    assert len(genders) == num_speakers
    assert num_female is None or list(genders.values()).count("female") == num_female
    assert len({(clip.speaker, clip.gender) for clip in taken(full[name])}) == num_speakers


@pytest.mark.parametrize("name", LAYOUTS)
def test_everything_can_be_spoken_and_nothing_is_spoken_twice(full: dict[str, Layout], name: str) -> None:
    clips = full[name].clips
    assert {clip.emotion for clip in clips} <= EMOTIONS.keys()
    said = {(clip.speaker, clip.sentence, clip.emotion, clip.intensity, clip.take) for clip in clips}
    assert len(said) == len(clips)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_speaker_is_the_same_in_a_smaller_tree(full: dict[str, Layout], name: str) -> None:
    few = LAYOUTS[name](2)
    own = {clip.speaker for clip in taken(few)}
    assert len(own) == 2
    assert taken(few) == [clip for clip in taken(full[name]) if clip.speaker in own]
    assert set(few.files) <= set(full[name].files)
    num_speakers, _ = SPEAKERS[name]
    for wanted in (0, num_speakers + 1):
        with pytest.raises(ConfigurationError, match=f"There can be 1 to {num_speakers} .*, not {wanted}"):
            LAYOUTS[name](wanted)


def test_cremad_has_its_odd_names_and_tables(full: dict[str, Layout]) -> None:
    layout = full["cremad"]
    stems = {clip.path[len("AudioWAV/") : -len(".wav")]: clip for clip in layout.clips}
    assert stems["1076_MTI_SAD_XX"].left_out
    assert "1040_ITH_SAD_X" in stems
    assert "1040_ITH_SAD_XX" not in stems
    people = [row.split(",") for row in layout.files["VideoDemographics.csv"].decode().splitlines()]
    assert people[0] == ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    by_name = {f"cremad-{row[0]}": row[2].lower() for row in people[1:]}
    assert by_name == {clip.speaker: clip.gender for clip in layout.clips}
    votes = [row.split(",") for row in layout.files["processedResults/summaryTable.csv"].decode().splitlines()]
    assert votes[0][1:3] == ['"FileName"', '"VoiceVote"']
    named = {row[1].strip('"') for row in votes[1:]}
    assert named - stems.keys() == {"1040_ITH_SAD_XX", "1006_TIE_NEU_XX", "1013_WSI_DIS_XX", "1017_IWW_FEA_XX"}
    assert stems.keys() - named == {"1040_ITH_SAD_X"}
    assert {len(row) for row in votes} == {8}
    assert sum(":" in row[2] for row in votes) > 1000


def test_enterface_has_its_defects(full: dict[str, Layout]) -> None:
    paths = {clip.path for clip in full["enterface"].clips}
    assert "subject 11/fear/sentence 2/s12_fe_2.avi" in paths
    assert "subject 12/fear/sentence 2/s12_fe_2.avi" in paths
    assert "subject 3/surprise/sentence 4/s_3_su_4.avi" in paths
    assert "subject 16/surprise/sentence 3/s16_su_3avi.avi" in paths
    assert len([path for path in paths if path.startswith("subject 23/happiness/")]) == 2
    assert {path for path in paths if path.startswith("subject 6/")} == {
        clip.path for clip in full["enterface"].clips if clip.left_out
    }


def test_iemocap_says_who_speaks_apart_from_who_wears_the_markers(full: dict[str, Layout]) -> None:
    clips = taken(full["iemocap"])
    stems = [clip.path.rpartition("/")[2] for clip in clips]
    assert [clip.speaker for clip in clips] == [f"iemocap-{stem[3:5]}{stem.split('_')[-1][0]}" for stem in stems]
    assert collections.Counter(stem[4] for stem in stems) == {"1": 1085, "2": 1023, "3": 1151, "4": 1031, "5": 1241}
    assert collections.Counter(stem[3:6] for stem in stems) == {
        **{"01F": 507, "01M": 578, "02F": 505, "02M": 518, "03F": 536, "03M": 615},
        **{"04F": 553, "04M": 478, "05F": 644, "05M": 597},
    }
    both = collections.Counter(stem[3:6] + clip.speaker[-1] for stem, clip in zip(stems, clips, strict=True))
    assert len(both) == 20
    assert min(both.values()) > 200
    assert any("_MXX0" in stem for stem in stems)
    assert any("script01_1b_" in stem for stem in stems)


def test_iemocap_evaluates_every_turn_once(full: dict[str, Layout]) -> None:
    layout = full["iemocap"]
    turn = re.compile(r"\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(\S+)\t(\S+)\t\[\d\.\d{4}, \d\.\d{4}, \d\.\d{4}\]")
    labels = {}
    for path, data in layout.files.items():
        if re.fullmatch(r"Session\d/dialog/EmoEvaluation/Ses[^/]*\.txt", path):
            lines = data.decode().splitlines()
            assert lines[0].startswith("% [START_TIME - END_TIME]")
            matches = [match for match in map(turn.fullmatch, lines) if match]
            assert all(float(match[1]) < float(match[2]) for match in matches)
            assert len(matches) == sum(line.startswith("[") for line in lines)
            labels |= {match[3]: match[4] for match in matches}
    assert labels.keys() == {clip.path.rpartition("/")[2].removesuffix(".wav") for clip in layout.clips}
    assert collections.Counter(labels.values()) == {
        **{"ang": 1103, "hap": 595, "exc": 1041, "sad": 1084, "neu": 1708},
        **{"fru": 185, "xxx": 251, "sur": 51, "fea": 20, "oth": 3, "dis": 2},
    }


def test_msp_improv_evaluates_every_turn_under_its_other_name(full: dict[str, Layout]) -> None:
    layout = full["msp_improv"]
    number = r"(?:\d\.\d{6}|NaN)"
    head = re.compile(rf"UTD-IMPROV-(\S+)\.avi; (\w); A:{number}; V:{number}; D:{number} ; N:{number};")
    lines = layout.files["Evaluation.txt"].decode().splitlines()
    found = [match for match in map(head.fullmatch, lines) if match]
    stems = {clip.path.rpartition("/")[2].removesuffix(".wav"): clip for clip in layout.clips}
    labels = {f"MSP-IMPROV-{match[1]}": match[2] for match in found}
    assert labels.keys() == stems.keys()
    assert all(stems[name].left_out == (label in "OX") for name, label in labels.items())
    assert collections.Counter(labels.values()) == {"A": 792, "H": 2644, "S": 885, "N": 3477, "O": 285, "X": 355}
    assert collections.Counter(name[20] for name in labels) == {"T": 652, "R": 620, "S": 4381, "P": 2785}
    assert 1000 < sum(name[14] != label for name, label in labels.items() if label not in "OX") < 4000
    assert "A:NaN" in layout.files["Evaluation.txt"].decode()
    assert "D:1.000000 ; N:NaN;" in layout.files["Evaluation.txt"].decode()


def test_smartkom_labels_a_turn_by_what_covers_most_of_it(full: dict[str, Layout]) -> None:
    layout = full["smartkom"]
    labels = {
        "Neutral": "neutral",
        "Freude/Erfolg": "happiness",
        "Ratlosigkeit": "helplessness",
        '"Uberlegen/Nachdenken': "pondering",
        '"Arger/Mi"serfolg': "anger",
        '"Uberraschung/Verwunderung': "surprise",
        "Restklasse": "unknown",
    }
    by_session = collections.defaultdict(list)
    for clip in layout.clips:
        by_session[clip.path].append(clip)
    first_is_not_it = in_three = 0
    for path, clips in by_session.items():
        folder = path.removesuffix("d.wav")
        speaker = clips[0].speaker.removeprefix("smartkom-")
        lines = layout.files[f"{folder}_{speaker}.par"].decode().splitlines()
        assert "SAM: 16000" in lines
        assert f"{folder}_SMA.par" in layout.files
        tiers = [line.split() for line in lines if line.startswith(("TRN:", "USH:"))]
        turns = [(int(row[1]), int(row[1]) + int(row[2]) + 1) for row in tiers if row[0] == "TRN:"]
        states = [(int(row[1]), int(row[1]) + int(row[2]) + 1, row[3]) for row in tiers if row[0] == "USH:"]
        assert turns == [clip.span for clip in clips]
        if clips[0].left_out:
            assert states == []
            continue
        for (start, end), clip in zip(turns, clips, strict=True):
            covering = [(label, min(end, b) - max(start, a)) for a, b, label in states if min(end, b) > max(start, a)]
            covered = collections.Counter[str]()
            for label, length in covering:
                covered[label] += length
            assert sum(covered.values()) == end - start
            assert labels[covered.most_common()[0][0]] == clip.label
            first_is_not_it += labels[covering[0][0]] != clip.label
            in_three += len(covering) == 3
    assert first_is_not_it > 100
    assert in_three > 100
    assert len(by_session) == 173


def test_every_clip_of_jl_and_shemo_has_its_transcript(full: dict[str, Layout]) -> None:
    assert full["jl"].files.keys() == {clip.path.replace(".wav", ".txt") for clip in full["jl"].clips}
    spoken = {clip.path.rpartition("/")[2].removesuffix(".wav") for clip in full["shemo"].clips}
    transcripts = {path: data for path, data in full["shemo"].files.items() if path.endswith(".ort")}
    assert transcripts.keys() == {f"transcript/final text/{stem}.ort" for stem in spoken}
    assert all(data.startswith(b"\xef\xbb\xbf") for data in transcripts.values())


def test_tess_has_200_words_and_the_name_that_lost_a_letter(full: dict[str, Layout]) -> None:
    names = [clip.path.rpartition("/")[2] for clip in full["tess"].clips]
    assert len({name.split("_")[1] for name in names}) == 200
    assert [name for name in names if name.startswith("OA_")] == ["OA_bite_neutral.wav"]


def test_names_are_dealt_out_evenly() -> None:
    assert mixed({"a": 4, "b": 2}) == ["a", "b", "a", "a", "b", "a"]
    assert collections.Counter(mixed({"a": 507, "b": 578, "c": 1})) == {"a": 507, "b": 578, "c": 1}
    assert dealt(5, ["x", "y"]) == ["x", "y", "x", "y", "x"]
