"""Common English words, so that a real tokenizer sees text as it usually does: about 1.2 tokens a word."""

WORDS = tuple(
    """
    the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which
    one you were all her she there would their we him been has when who will no more if out so up said what its about
    than into them can only other time new some could these two may first then do any like my now over such our man
    even most made after also did many must before back see through way where get much go well your know should down
    work because come people just say each those take day good how long little use us state very make world still see
    own man work between never life being under another while last might great year since against year go right house
    both during without again place American around however home small found thought went say part once general high
    upon school every does got united left number course war until always away something fact water though less public
    put think almost hand enough far took head yet government system better set told nothing night end why called eyes
    find going look asked later knew point next city business give group toward young days let room word side social
    given present several order national second possible rather per face among form important often things looked early
    white case large become need four within felt children along saw best church ever least power development light
    thing seemed family interest want members mind country area others done turned although open service certain kind
    problem began different door thus help sense means whole matter measurement embedding latency throughput batching
    tokenizer vectors retrieval semantic paragraph warehouse shipment invoice customer refund warranty subscription
    keyboard compressor thermostat bicycle orchestra microscope glacier volcano penguin croissant espresso umbrella
    photosynthesis constitution jurisdiction pharmaceutical archaeology entrepreneurship hydraulic polymer catalyst
    lighthouse harbour sailboat hurricane earthquake biography screenplay choreography watercolour sculptor
    """.split()  # noqa: SIM905 - a list would be four hundred lines
)
