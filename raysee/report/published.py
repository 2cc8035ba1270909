"""Published figures that stand beside raysee's own, and what a reader must know of them.

Shares are in [0, 1] and times in seconds; matrices are in per cent, as printed. Of each document:

- Keesing, Watson & Witbrock, ALTA 2020;
- Badshah, Ahmad, Rahim & Baik, PlatCon 2017;
- de Gosson de Varennes & Starck, Sopra Steria, "Using CNN for Speech Emotion Recognition - What's wrong with it?";
- "Speech Emotion Recognition", a study of RAVDESS, with its code (github.com/kduane/speech_emotion_recognition);
- a student report of 2015 on CNNs and LSTMs for EMO-DB, SAVEE and eNTERFACE'05, of which no title page is at hand.

The notes are raysee's: what is computed in them is computed from the figures below or from the corpora.
"""

from raysee.config import RunConfig
from raysee.evaluation.protocols import protocol
from raysee.models import published as published_training

SOURCE = "Keesing et al. 2020, Table 3 (UAR, mean over repeats; over folds without a common speaker, by its code)"

#: The columns of Keesing et al. 2020, Table 3: model and features.
COLUMNS: dict[str, tuple[str, str]] = {
    "A1": ("aldeneh", "logmel40"),
    "A2": ("aldeneh", "logmel240"),
    "A3": ("aldeneh-fixed", "spectrogram240"),
    "L": ("latif", "waveform"),
    "N": ("zhang", "waveform"),
    "O": ("zhao", "spectrogram40"),
    "SVM": ("svm", "is09"),
}

#: Keesing et al. 2020, Table 3, in per cent: `COLUMNS` in their order, then human raters where there is a figure.
_KEESING_PERCENT: dict[str, tuple[float, ...]] = {
    "cafe": (53.8, 54.0, 52.1, 22.3, 32.3, 48.0, 57.2),
    "cremad": (66.6, 67.0, 63.4, 42.4, 48.4, 57.9, 65.0, 40.0),
    "demos": (61.4, 61.9, 61.5, 25.5, 26.9, 45.7, 51.2, 61.1),
    "emodb": (73.2, 74.6, 72.7, 45.2, 49.7, 53.7, 82.1, 84.3),
    "emofilm": (49.6, 49.7, 49.4, 40.2, 45.6, 44.7, 53.2, 73.0),
    "enterface": (77.9, 79.4, 77.4, 38.6, 45.0, 66.4, 76.3),
    "iemocap": (61.1, 60.5, 58.2, 46.2, 49.2, 58.3, 59.8, 73.8),
    "jl": (65.8, 67.8, 47.9, 54.0, 61.2, 46.6, 66.2, 69.1),
    "msp_improv": (47.2, 47.5, 46.2, 35.2, 38.0, 48.6, 52.4, 77.8),
    "portuguese": (38.3, 39.0, 41.5, 37.4, 43.3, 39.9, 50.0, 73.2),
    "ravdess": (32.5, 39.5, 60.0, 29.6, 32.9, 43.0, 60.6, 62.5),
    "savee": (58.4, 59.6, 48.5, 34.8, 33.0, 30.1, 57.0, 66.5),
    "shemo": (54.6, 55.7, 50.7, 43.6, 48.4, 51.8, 51.3),
    "smartkom": (15.8, 16.8, 17.5, 16.0, 16.7, 22.6, 28.5),
    "tess": (48.7, 49.5, 55.1, 38.5, 30.6, 48.4, 45.9, 82.0),
}
#: UAR by corpus and column; "Human" is a column of eleven corpora.
KEESING_2020: dict[str, dict[str, float]] = {
    corpus: {column: round(value / 100, 3) for column, value in zip([*COLUMNS, "Human"], row, strict=False)}
    for corpus, row in _KEESING_PERCENT.items()
}
#: Classes (Table 1; chance is one by their number) and folds (section 4.2: speakers, above twelve six groups of them,
#: of IEMOCAP and MSP-IMPROV sessions). EmoFilm's three folds are languages, as in the code of the paper.
KEESING_CLASSES_AND_FOLDS: dict[str, tuple[int, int]] = {
    "cafe": (7, 12),
    "cremad": (6, 6),
    "demos": (7, 6),
    "emodb": (7, 10),
    "emofilm": (5, 3),
    "enterface": (6, 6),
    "iemocap": (4, 5),
    "jl": (5, 4),
    "msp_improv": (4, 6),
    "portuguese": (7, 2),
    "ravdess": (8, 6),
    "savee": (7, 4),
    "shemo": (5, 6),
    "smartkom": (7, 6),
    "tess": (7, 2),
}
KEESING_NOTES: dict[str, str] = {
    "human": "How often people answer right, from each corpus's own publication or its annotations (Table 3): an "
    "accuracy, often with other clips and choices than the networks', although the table calls all of it UAR.",
    "tuning": "C and gamma of the support vector machine are searched by cross-validation over speakers (section 5); "
    "the code of the paper searches on the same folds that it then reports, which flatters this column.",
    "repeats": "Means of three repeats, of Zhang's network one (section 4.2).",
    "standardised": "Every speaker's clips are standardised by themselves, the test speaker's too (section 4.2).",
    "portuguese": "The Portuguese corpus is in Tables 1 and 3, but not among the corpora that section 3 describes.",
}

#: Badshah et al. 2017 of the fresh network: by spectrogram (section II.D), and by file (section III.C).
BADSHAH_2017: dict[str, float] = {"spectrograms": 0.6175, "files": 0.843}
BADSHAH_LABELS = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")
#: The smallest numbers of test spectrograms of each label that give the fractions of both matrices.
BADSHAH_TOTALS = (57, 115, 79, 75, 88, 95, 130)
#: Badshah et al. 2017, Tables 1 (fresh) and 2 (fine-tuned): per cent of the true class, rows true, in BADSHAH_LABELS.
BADSHAH_CONFUSION: dict[str, tuple[tuple[float, ...], ...]] = {
    "fresh": (
        (84.21, 0.00, 1.75, 3.51, 10.53, 0.00, 0.00),
        (0.00, 53.91, 7.83, 4.35, 2.61, 14.78, 16.52),
        (3.80, 7.59, 68.35, 7.59, 7.59, 3.80, 1.27),
        (18.67, 14.67, 16.00, 25.33, 18.67, 2.67, 4.00),
        (46.59, 0.00, 4.55, 10.23, 36.36, 1.14, 1.14),
        (0.00, 41.05, 1.05, 3.16, 2.11, 42.11, 10.53),
        (0.00, 13.85, 0.00, 0.00, 0.00, 3.08, 83.08),
    ),
    "fine-tuned": (
        (92.98, 0.00, 0.00, 3.51, 1.75, 1.75, 0.00),
        (3.48, 37.39, 6.96, 0.00, 0.00, 41.74, 10.43),
        (22.78, 2.53, 49.37, 3.80, 3.80, 11.39, 6.33),
        (34.67, 2.67, 0.00, 46.67, 1.33, 13.33, 1.33),
        (73.86, 1.14, 3.41, 3.41, 17.05, 1.14, 0.00),
        (5.26, 8.42, 1.05, 2.11, 3.16, 75.79, 4.21),
        (0.00, 10.00, 1.54, 2.31, 0.00, 10.77, 75.38),
    ),
}
BADSHAH_NOTES: dict[str, str] = {
    "split": "The paper holds out a quarter and has five folds at once (sections II.D and III.A). The rows of its "
    "matrices are fractions of 639 spectrograms in all, which is a fifth of 3,195, and it made more than 3,000: they "
    "seem to be of one of five folds. It does not say that pieces of a file, or the clips of a speaker, stay together.",
    "accuracy": "The text has 61.75 % of the spectrograms right (section II.D). The matrix of the same network (Table "
    "1) has 363 of 639, 56.8 %.",
    "fine-tuned": "The paper prefers the fresh network. By its matrices the fine-tuned one is right less often (355 "
    "of 639, 55.6 %, against 56.8 %), but its UAR is the higher one (56.4 % against 56.2 %). The text has sadness "
    "improve by fine-tuning and fear suffer; in the matrices sadness falls from 83.1 to 75.4 % and fear rises from "
    "25.3 to 46.7 %.",
    "speakers": "The paper has four speakers (section III.A); EMO-DB has ten.",
    "epoch": "The paper's best accuracy was achieved after 28 epochs of 30 (section II.D): it may be that of the epoch "
    "that is best on the tested part. raysee keeps the last one.",
    "classes": "The paper has about 500 spectrograms of each emotion (section II.D). The rows of the matrices, times "
    "five, are 285 to 650, and anger, of which EMO-DB has the most clips, is the smallest: what was left out is not "
    "said.",
    "files": "84.3 % is an accuracy for all speakers on the test set (section III.C); that it is by file, from the "
    "mean of its spectrograms' probabilities (section II.E), is how raysee reads it. The number of files is not given.",
}

#: The 2015 report, test accuracies: Table 2 (SVM, softmax, FC2, FC3), Table 3 (R1+...), Table 4 (S, R, ER), and the
#: LSTM of section 3.3. All but the LSTM and ER1 are by chunk.
STANFORD_2015: dict[str, float] = {
    "SVM": 0.237,
    "softmax": 0.212,
    "FC2": 0.273,
    "FC3": 0.255,
    "R1+naive-bayes": 0.386,
    "R1+softmax": 0.396,
    "R1+lda": 0.388,
    "R1+qda": 0.391,
    "R1+gmm": 0.392,
    "S1": 0.351,
    "S2": 0.364,
    "S3": 0.355,
    "S4": 0.368,
    "R1": 0.397,
    "R2": 0.368,
    "R3": 0.339,
    "R4": 0.334,
    "R5": 0.394,
    "R6": 0.380,
    "R7": 0.550,
    "ER1": 0.392,
    "ER2": 0.408,
    "LSTM": 0.70,
}
STANFORD_NOTES: dict[str, str] = {
    "data": "22,521 chunks that do not overlap, says the report (section 2); the three corpora are long enough for "
    "about 12,250. It counts 537 files of EMO-DB, which has 535, and its seven classes are without EMO-DB's boredom: "
    "whether that was left out is not said. Chunks are shuffled before they are split: pieces of files that were "
    "trained on are tested, and so are their speakers, as the report says.",
    "R7": "On eNTERFACE'05 alone, which has six emotions, and with nine times as many chunks by changed pitch and "
    "speed. 55 % is a test accuracy in Table 4, the highest validation accuracy in section 3.1, for seven classes in "
    "section 4, and 50 % in the abstract. Whether altered copies of the tested chunks were trained on is not said.",
    "LSTM": "Of 1,250 files of eNTERFACE'05 alone (section 3.3), which has six emotions (section 2); that the figure "
    "is by file is how raysee reads it. The CNNs' figures are by chunk on three corpora and seven classes. The report "
    "compares the two.",
    "class scores": "Which of R1's scores the classifiers of Table 3 were fitted on, is not said, nor whether the "
    "mixture's seven components are those of each class, as here, or one a class.",
    "cleaned": "The report removed mislabelled examples, about 0.5 % of the values, and set anomalous ones to a median "
    "of 1,000 others (section 2). raysee does neither, and also divides by the standard deviation.",
    "epochs": "Nets were tuned for 10 epochs and the best ones then trained for 400 (section 3.1); Table 4 says 400 of "
    "all. For the fully connected ones the number was tuned and is not given.",
    "linear": "The report tuned learning rate and regularisation of its linear models (section 3.1, Table 2). Here C "
    "of the support vector machine is searched on speakers of the training part who are left out in turn, and softmax "
    "has scikit-learn's own.",
    "connected": "Whether the fully connected nets saw the 26 numbers or the spectrograms is not said. Table 2 calls "
    "only the linear models' features hand-built, and the nets' weights looked like spectrograms (section 3.1).",
    "R3": "By its name R3 has layers of 16 and 32 filters, by Table 4 one layer; raysee's has two.",
    "S2": "Table 2 names S2 (36.4 %) the best network with square filters; in Table 4 that is S4 (36.8 %).",
    "no validation": "Table 2 has no validation accuracy for S2 and R1, and what had no validation part was split "
    "70/30 (section 2): the report seems to have trained these two on 70 %. raysee's split by chunk is 60/20/20 for "
    "all.",
    "ER1": "Chunks are split one by one, so that raysee averages only those chunks of a file that are tested, a fifth "
    "of them. Which ones the report averages over time is not said.",
}

#: The Sopra Steria article, accuracy by window: speakers and sentence of the training part.
ALEXNET_RAVDESS: dict[str, float] = {"speaker heard, sentence heard": 0.996}
ALEXNET_NOTES: dict[str, str] = {
    "windows": "The article cuts RAVDESS into windows of 1 s every 10 ms and counts 75,000. All 1,440 files have "
    "389,747 of them: 75,000 would come of a step of about 52 ms, or of much less of the sound. Neighbours share 99 % "
    "of their sound, and the article does not say that validation windows are of other files than training windows.",
    "only one figure": "The other three conditions have no figure in the text: unheard sentences do less than "
    "satisfy, with unheard speakers too it gets worse, all above chance; of the condition with only the speakers "
    "unheard nothing is told.",
    "scale": "Linear, logarithmic and mel scales of frequency are shown; which of them was trained on is not said.",
}

#: The study of RAVDESS, speech and songs: accuracies and training times in seconds.
MLP_VS_CNN: dict[str, dict[str, float]] = {
    "MLP": {"training": 0.69, "test": 0.63, "seconds": 27.43},
    "CNN": {"training": 0.62, "test": 0.57, "seconds": 537.41, "seconds an epoch": 10.54},
}
MLP_VS_CNN_NOTES: dict[str, str] = {
    "runs": "Of one random split by file, in which every speaker is trained on. The CNN's 57 % is called validation "
    "accuracy: in the study's code the part that stops the training is the tested one. For the MLP's 69 and 63 % the "
    "code's notebook has 74 and 64 %, of an earlier run.",
    "seconds": "The machine is not given. The CNN's 537.41 s at 10.54 s an epoch are 51 epochs, the code gives the "
    "MLP 250. The study has the MLP take less than a twentieth of the CNN's time; it is one by 19.6.",
    "baseline": "The study asks for more than 25 %, as chance for the emotions that are sung as well; it counts five "
    "of these, which makes 20 %. Of all seven "
    "emotions without neutral, speech and songs together, the largest class has 376 of 2,264 clips, 16.6 %.",
    "samples": "The study has 192 clips of the emotions that are sung as well and 96 of the other three. RAVDESS's "
    "speech has 192 of every emotion but neutral, which has 96.",
    "classes": "The CNN never answers two of the classes, says the study.",
}


#: Of a training, what may differ from the published one: not what is learned, but by which chances and how fast.
_MAY_DIFFER = {"seed", "precision", "compile"}


def published_uar(config: RunConfig, *, synthetic: bool) -> float | None:
    """The published UAR of what `config` describes; None for what it is not comparable with."""
    row = KEESING_2020.get(config.corpus, {})
    uar = next((row.get(name) for name, column in COLUMNS.items() if column == (config.model, config.heard)), None)
    changed = config.options or config.labels or config.scheme or config.augmented or config.initial
    if uar is None or synthetic or changed or config.size != "published" or protocol(config.protocol).leaks:
        return None
    theirs, ours = (
        training.model_dump(exclude=_MAY_DIFFER) for training in (published_training(config.model)[1], config.training)
    )
    return uar if ours == theirs else None
