"""A voice made of arithmetic: raysee can be run, tested and shown without anybody's recordings.

`phones` holds the sounds of speech, `tract` turns them into samples, `voice` decides who speaks and in
which mood, `trees` and `calls` write the result to disk as corpora and as call archives.

The speakers are not people and the emotions are nobody's: whatever is measured on this audio says how
raysee works, not how well emotion can be recognised. Such a number must be labelled "synthetic" wherever it
is printed, stored or drawn.
"""
