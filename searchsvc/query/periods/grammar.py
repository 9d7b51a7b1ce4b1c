"""The grammar of a question's period: how English names a time, and what stands around a word that is none."""

import re

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "mon tue wed thu fri sat sun".split()
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}  # first months, as meteorologists count
COUNTS = {
    **{word: n for n, word in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), 1)},
    **{"a": 1, "an": 1, "couple of": 2, "a couple of": 2, "few": 3, "a few": 3, "several": 4},
}

_MONTH = (
    r"(?:jan(?:uary|\.)?|feb(?:ruary|\.)?|mar(?:ch|\.)?|apr(?:il|\.)?|may|june?|july?|aug(?:ust|\.)?|"
    r"sep(?:tember|t\.?|\.)?|oct(?:ober|\.)?|nov(?:ember|\.)?|dec(?:ember|\.)?)"
)
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_SEASON = rf"(?:{'|'.join(SEASONS)})"
_YEAR = r"(?:1[6-9]|20)\d\d"
_DAY = r"(?:[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th)?"
_COUNT = rf"(?:\d{{1,3}}|{'|'.join(map(re.escape, sorted(COUNTS, key=len, reverse=True)))})"
_UNIT = r"(?:day|week|month|year)"

# Cheap, and matched by whatever POINT matches.
HINT = re.compile(rf"(?<!\d)\d{{4}}(?!\d)|day\b|\bago\b|\b(?:last|past|this) \w|\b{_MONTH}\b", re.IGNORECASE)

POINT = re.compile(  # `lastgroup` of a match is its kind
    rf"""(?<![\w$€£\#/+.,–])(?<!(?<!\bmid)-)(?:
      (?P<iso>{_YEAR}-[01]\d-[0-3]\d)
    | (?P<figures>[0-3]?\d(?P<mark>[./])[0-3]?\d(?P=mark){_YEAR})
    | (?P<date>(?:{_WEEKDAY},?\ )?(?:
        (?:the\ )?(?P<d1>{_DAY})\ (?:of\ )?(?P<m1>{_MONTH})(?:,?\ (?P<y1>{_YEAR}))?
      | (?P<m2>{_MONTH})\ (?:the\ )?(?P<d2>{_DAY})(?:,?\ (?P<y2>{_YEAR}))?))
    | (?P<month>(?P<m3>{_MONTH})(?:,?\ (?:of\ )?(?P<y3>{_YEAR}))?)
    | (?P<season>(?P<s1>{_SEASON})\ (?:of\ )?(?P<y4>{_YEAR}))
    | (?P<decade>{_YEAR[:-2]}0s)
    | (?P<years>(?:the\ year\ )?(?P<first>{_YEAR})(?:[-–](?P<other>(?:\d\d)?\d\d))?)
    | (?P<eve>(?:the\ )?day\ before\ yesterday|yesterday|last\ night)
    | (?P<lately>(?:the\ )?(?:last|past)\ (?P<n1>{_COUNT})\ (?P<u1>{_UNIT})s?)
    | (?P<ago>(?P<n2>{_COUNT})\ (?P<u2>{_UNIT})s?\ ago)
    | (?P<stretch>(?:earlier\ )?(?:the\ )?(?P<w1>last|this\ past|past|this)\ (?P<span>week|weekend|month|year|decade))
    | (?P<part>(?P<w2>last|this)\ (?:(?P<s2>{_SEASON})|(?P<m4>{_MONTH})))
    | (?P<weekday>(?P<w3>early\ |late\ |last\ |(?:this\ )?past\ |(?P<this>this\ ))?(?P<wd>{_WEEKDAY}))
    )(?![\w%/$€£]|[.,:]\d|[-–]\w)""",
    re.IGNORECASE | re.VERBOSE,
)
COUNTED = frozenset("eve lately ago stretch part weekday".split())  # from the day on which they are said

# ---------------------------------------------------------------------- what leads to a time

LED = re.compile(
    r"(?P<lead>\b(?:in|on|during|throughout|over|within|since|from|after|before|until|till|prior to|between|by|for|of|"
    r"than|vs\.?|versus|compared (?:to|with|from)|and|or|to)\s+(?P<the>the )?)?"
    r"(?P<part>\b(?:the )?(?:early|late|mid)(?:[- ]|$)|(?:the )?(?:start|beginning|middle|end) of )?$",
    re.IGNORECASE,
)
LED_FROM_AFAR = re.compile(  # "since the election in 2020"
    r"\b(?P<lead>since|after|following|before|until|during|amid|over|related to|in relation to|in connection with|"
    r"role in|convicted of|charged with|accused of|guilty of)\s+(?:[\w’'.-]+\s+){1,6}(?:in|on|of)\s+(?:the )?$",
    re.IGNORECASE,
)
JOINT = re.compile(r"\s*(?:-|–|\band|\bto|\buntil|\btill|\bthrough)\s+", re.IGNORECASE)
ONWARDS = re.compile(r" on(?:wards?)?\b(?! [a-z])")
IN_YEAR = frozenset("in during throughout within since from after before prior".split())
ON_DAY = frozenset("on since".split())
REFUSED = frozenset("by until till for than vs versus compared and or to".split())

# ---------------------------------------------------------------------- what stands around a time

_EDITION = (  # with a year, the name of one of its like
    r"(?:elections?|primar(?:y|ies)|midterms?|referendum|presidential|cup|olympics?|paralympics?|games|super bowl|"
    r"oscars?|grammys?|emmys?|awards?|euros?|eurovision|championships?|finals?|series|open|tour|marathon|grand prix|"
    r"wimbledon|season|league|draft|expo|summit|g7|g8|g20|cop\d*|conference|festival|census|budget|agenda|fiscal|"
    r"model|edition|version|act|law|bill|tax|nobel|fifa|nba|nfl|nhl|uefa)"
)
NAMED = re.compile(
    rf"['’]s?\b|\s+(?:(?:[A-Z][\w’'.&]*|world|summer|winter|us)\s+){{0,4}}(?i:{_EDITION})\b|\s+by\s+[A-Z]|"
    r"\s+(?:people|men|women|children|cases|deaths|dollars|euros|pounds|troops|soldiers|jobs|homes|words|votes|seats|"
    r"points|flights|tonn?es|tons|k?m|kilomet(?:er|re)s|met(?:er|re)s|miles|years|days|hours|students|workers|refugees|"
    r"migrants|copies|times|class|case|novel|film|movie|book|album|song)\b"
)
DATED = re.compile(  # a year behind one of these tells when: "Ukraine war 2014"
    r"\b(?:wars?|invasion|annexation|crisis|protests?|uprising|revolution|coup|attacks?|bombings?|shootings?|massacre|"
    r"riots?|strikes?|earthquake|tsunami|floods?|flooding|hurricane|cyclone|typhoon|storm|drought|heatwave|fires?|"
    r"wildfires?|eruption|explosion|crash|collapse|outbreak|epidemic|pandemic|famine|scandal|conflict|siege|offensive|"
    r"ceasefire|lockdowns?|recession|accident|disaster|deaths|casualties|prices?|inflation|unemployment|sanctions|"
    r"talks|negotiations|visit|speech|news|events)\s+$",
    re.IGNORECASE,
)
SINGLED = re.compile(r"['’]s\b|\s+(?:[A-Z]|night live|night football|the 13th)")  # "August Wilson", "Sunday Times"
LAST_OF = re.compile(r"\s+(?:of\b|in office\b|tonight\b)", re.IGNORECASE)  # "the last year of the war"

SENTENCE_END = re.compile(r"(?:[?!]|(?<!\b[A-Z])(?<!\b[A-Z][a-z])(?<!\b[A-Z][a-z]{2})\.)['\"”’)]?\s+(?=[\"“(]?[A-Z])")
QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"")
MENTIONED = re.compile(
    # "the company that …": a noun before it; not "in which", "tell me who"
    r"\b(?!(?:me|us|know|say|see|tell|explain|of|in|on|at|by|for|from|with|to|and|or|about|under|during|after|into|"
    r"through|against)\b)[\w’'-]+,?\s+(?:that|who|whose|which|whom)\b|"
    r"\b(?:born|founded|established|built|formed|created|invented|written|composed|dating|dated|set|filmed|opened|"
    r"discovered|bought)(?: back)?(?: to)? $|\b(?:than|as) $",
    re.IGNORECASE,
)
LOOKED_BACK = re.compile(
    r"\baccording to|\bthen-[A-Z]|\b(?:reports?|study|studies|survey|poll|analysis|research|figures|statistics|data|"
    r"remains?|still|anniversary)\b|\bhow (?:long|old)\b",
    re.IGNORECASE,
)
AHEAD = re.compile(
    r"\b(?:will|won['’]t|shall|expected to|set to|going to|due to|plans? to|planned|scheduled|upcoming|next|later this|"
    r"could|might|may)\b"
)
THIS_WEEK = re.compile(r"\bthis week(?:end)?\b", re.IGNORECASE)
URGENT = re.compile(
    r"(?<!at the )\b(?:latest|newest|most recent|recent(?:ly)?|currently|current(?! account)|breaking news|tonight|"
    r"today|(?<!until )(?<!by )now(?!-)|at the moment|this (?:morning|afternoon|evening|hour))\b|"
    r"^breaking\b(?! bad| point)",
    re.IGNORECASE,
)
