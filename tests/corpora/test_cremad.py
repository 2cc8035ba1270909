import pytest

from raysee.corpora.corpus import Clip, LeftOut, Outcome, Reading, Tree
from raysee.corpora.cremad import CREMAD
from raysee.corpora.manifest import build
from raysee.errors import ConfigurationError, CorpusError
from raysee.storage import FileInfo

ACTORS = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","x","y"\n1002,21,"Female","x","y"\n'
VOTES = (
    '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
    '"1","1001_IEO_ANG_HI","A","70","D","50","A:D","60:60"\n'
    '"2","1002_DFA_HAP_XX","N","70","H","50","S","60"\n'
    '"3","1040_ITH_SAD_XX","F","70","F","50","F","60"\n'
    '"4","1076_MTI_SAD_XX","S","70","S","50","S","60"\n'
)
TABLES = {"VideoDemographics.csv": ACTORS, "processedResults/summaryTable.csv": VOTES}


def reading(*paths: str, label: str = "acted", **tables: str) -> Reading:
    texts = {name.replace("__", "/"): text for name, text in tables.items()}
    return CREMAD.read(Tree([*paths, *texts], lambda path: texts[path].encode()), CREMAD.choose({"label": label}))


def parse(path: str) -> Outcome:
    return reading(path).parse(path)


def voted(label: str, path: str) -> Outcome:
    tree = Tree([path, *TABLES], lambda name: TABLES[name].encode())
    return CREMAD.read(tree, CREMAD.choose({"label": label})).parse(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1001_IEO_ANG_HI", ("1001", "anger", "IEO", "high")),
        ("1009_IEO_FEA_MD", ("1009", "fear", "IEO", "medium")),
        ("1010_IEO_DIS_LO", ("1010", "disgust", "IEO", "low")),
        ("1089_IEO_NEU_XX", ("1089", "neutral", "IEO", None)),
        ("1090_DFA_HAP_XX", ("1090", "happiness", "DFA", None)),
        ("1091_WSI_SAD_XX", ("1091", "sadness", "WSI", None)),
    ],
)
@pytest.mark.parametrize("place", ["{}.wav", "AudioWAV/{}.wav", "CREMA-D/AudioMP3/{}.mp3", "AudioWAV/{}.flac"])
def test_a_name_is_read_field_by_field(place: str, name: str, expected: tuple[str, ...]) -> None:
    speaker, label, sentence, intensity = expected
    assert parse(place.format(name)) == Clip(
        clip_id=name, speaker=speaker, label=label, sentence=sentence, intensity=intensity
    )


@pytest.mark.parametrize(
    "sentence", ["IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI"]
)
def test_every_sentence_is_known(sentence: str) -> None:
    clip = parse(f"AudioWAV/1050_{sentence}_NEU_XX.wav")
    assert isinstance(clip, Clip)
    assert clip.sentence == sentence


@pytest.mark.parametrize(
    "path",
    [
        "AudioWAV/1000_DFA_ANG_XX.wav",
        "AudioWAV/1092_DFA_ANG_XX.wav",
        "AudioWAV/1101_DFA_ANG_XX.wav",
        "AudioWAV/1001_XXX_ANG_XX.wav",
        "AudioWAV/1001_DFA_SUR_XX.wav",
        "AudioWAV/1001_DFA_ANG_HI.wav",  # levels are of IEO only
        "AudioWAV/1001_IEO_ANG_UP.wav",
        "AudioWAV/1001_DFA_ANG.wav",
        "AudioWAV/1001_DFA_ANG_XX_1.wav",
        "AudioWAV/x1001_DFA_ANG_XX.wav",
        "elsewhere/1001_DFA_ANG_XX.wav",
        "AudioWAV/1001_DFA_ANG_XX.csv",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_the_file_with_half_a_level_is_called_as_in_the_tables() -> None:
    clip = parse("AudioWAV/1040_ITH_SAD_X.wav")
    assert isinstance(clip, Clip)
    assert (clip.clip_id, clip.label, clip.intensity) == ("1040_ITH_SAD_XX", "sadness", None)
    assert isinstance(voted("voice", "AudioWAV/1040_ITH_SAD_X.wav"), Clip)


@pytest.mark.parametrize("path", ["AudioWAV/1076_MTI_SAD_XX.wav", "AudioMP3/1076_MTI_SAD_XX.mp3"])
def test_the_silent_clip_is_left_out(path: str) -> None:
    assert parse(path) == LeftOut("1076_MTI_SAD_XX", "it has no audio signal")


def test_wav_is_preferred_clip_by_clip() -> None:
    wav, mp3, alone = "AudioWAV/1001_IEO_ANG_HI.wav", "AudioMP3/1001_IEO_ANG_HI.mp3", "AudioMP3/1002_DFA_HAP_XX.mp3"
    both = reading(wav, mp3, alone)
    assert isinstance(both.parse(wav), Clip)
    assert both.parse(mp3) == LeftOut("1001_IEO_ANG_HI", "the same clip is there as wav")
    assert isinstance(both.parse(alone), Clip)
    assert isinstance(reading(mp3, alone).parse(mp3), Clip)


def test_genders_are_of_the_table_where_it_is_there() -> None:
    names = ["1001_IEO_ANG_HI", "1002_DFA_HAP_XX", "1003_DFA_HAP_XX"]
    with_table = reading(**{"VideoDemographics.csv": ACTORS})
    clips = [with_table.parse(f"AudioWAV/{name}.wav") for name in names]
    assert [clip.gender for clip in clips if isinstance(clip, Clip)] == ["male", "female", None]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("acted", ["anger", "happiness"]),
        ("voice", ["anger", "neutral"]),
        ("face", ["disgust", "happiness"]),
        ("multimodal", ["unknown", "sadness"]),  # a tie of anger and disgust
    ],
)
def test_the_label_can_be_voted(label: str, expected: list[str]) -> None:
    clips = [voted(label, f"AudioWAV/{name}.wav") for name in ("1001_IEO_ANG_HI", "1002_DFA_HAP_XX")]
    assert [clip.label for clip in clips if isinstance(clip, Clip)] == expected
    assert [clip.gender for clip in clips if isinstance(clip, Clip)] == ["male", "female"]


def test_a_clip_without_votes_is_left_out() -> None:
    left = voted("voice", "AudioWAV/1091_WSI_SAD_XX.wav")
    assert left == LeftOut("1091_WSI_SAD_XX", "processedResults/summaryTable.csv has no votes on it")
    assert isinstance(voted("acted", "AudioWAV/1091_WSI_SAD_XX.wav"), Clip)


def test_votes_name_the_clips_that_there_must_be() -> None:
    place = "processedResults/summaryTable.csv"
    tree = Tree(TABLES, lambda name: TABLES[name].encode())
    named = CREMAD.read(tree, {"label": "face"}).named
    assert named == dict.fromkeys(["1001_IEO_ANG_HI", "1002_DFA_HAP_XX", "1040_ITH_SAD_XX"], place)
    assert CREMAD.read(tree, {"label": "acted"}).named == {}


@pytest.mark.parametrize(
    ("label", "tables", "message"),
    [
        ("voice", {}, "summaryTable.csv, and no such file is there"),
        ("face", {"summaryTable.csv": "version https://git-lfs.github.com/spec/v1\n"}, "column FaceVote, FileName"),
        ("face", {"summaryTable.csv": "FileName,VoiceVote\n"}, "has no column FaceVote: "),
        ("acted", {"VideoDemographics.csv": ""}, "has no column ActorID, Sex: "),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error(label: str, tables: dict[str, str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        reading(label=label, **tables)


def test_options_are_those_of_the_tables() -> None:
    assert CREMAD.choose({}) == {"label": "acted"}
    with pytest.raises(ConfigurationError, match="acted, voice, face, multimodal"):
        CREMAD.choose({"label": "heard"})


def test_the_table_of_utterances_has_ties_as_unknown_and_tells_what_is_missing() -> None:
    root = "s3://bucket/CREMA-D"
    names = ["AudioWAV/1001_IEO_ANG_HI.wav", "AudioWAV/1076_MTI_SAD_XX.wav", *TABLES]
    utterances, rejects = build(
        CREMAD,
        root,
        [FileInfo(f"{root}/{name}", 1000, "tag") for name in names],
        lambda uri: TABLES[uri.removeprefix(f"{root}/")].encode(),
        options={"label": "multimodal"},
    )
    (row,) = utterances.to_pylist()
    assert (row["clip_id"], row["label"], row["emotion"], row["group"]) == (
        "1001_IEO_ANG_HI",
        "unknown",
        "unknown",
        "1001",
    )
    assert sorted((row["id"], row["error"]) for row in rejects.to_pylist()) == [
        ("1002_DFA_HAP_XX", "MissingSound"),
        ("1040_ITH_SAD_XX", "MissingSound"),
        ("1076_MTI_SAD_XX", "LeftOut"),
    ]


def test_counts_are_those_of_table_1() -> None:
    assert sum(CREMAD.counts.values()) == 7442 - 1
    assert set(CREMAD.labels) == set(CREMAD.counts)
