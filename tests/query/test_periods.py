"""Periods: which questions name the time that they ask about, and which only hold words that look like one.

On these tables `search_dates` of dateparser 1.5.0 (English) finds something in 87 of 103 and in 119 of 151; with
STRICT_PARSING, in 34 and 15. And it gives one moment where a period has two ends.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.query.periods import is_urgent, period_of

NOW = datetime(2024, 6, 20, 15, 30, tzinfo=UTC)  # a Thursday

NAMED = """
what happened in Mariupol in March 2022 | in March 2022 | 2022-03-01 | 2022-03-31
Mariupol theatre March 2022 | March 2022 | 2022-03-01 | 2022-03-31
mariupol theatre march 2022 | march 2022 | 2022-03-01 | 2022-03-31
May 2022 local elections in Britain | May 2022 | 2022-05-01 | 2022-05-31
who was mayor of London in May of 2016 | in May of 2016 | 2016-05-01 | 2016-05-31
floods in Libya, Sept. 2023 | Sept. 2023 | 2023-09-01 | 2023-09-30
early March 2020 panic buying | early March 2020 | 2020-03-01 | 2020-03-31
at the end of February 2022 what did Germany decide | the end of February 2022 | 2022-02-01 | 2022-02-28
In March 2022, which Ukrainian city was besieged? | In March 2022 | 2022-03-01 | 2022-03-31
who met Kim on 18 June 2024 | on 18 June 2024 | 2024-06-18 | now
who spoke on 14 June 2024 | on 14 June 2024 | 2024-06-14 | 2024-06-16
what was signed on June 3, 2024 | on June 3, 2024 | 2024-06-03 | 2024-06-05
what was signed on June 3rd 2024 | on June 3rd 2024 | 2024-06-03 | 2024-06-05
signed on the 3rd of June 2024 | on the 3rd of June 2024 | 2024-06-03 | 2024-06-05
who won on Sunday, 9 June 2024 | on Sunday, 9 June 2024 | 2024-06-09 | 2024-06-11
Paris attacks 13 November 2015 | 13 November 2015 | 2015-11-13 | 2015-11-15
attacks on 2015-11-13 | on 2015-11-13 | 2015-11-13 | 2015-11-15
attacks on 13.11.2015 | on 13.11.2015 | 2015-11-13 | 2015-11-15
attacks on 13/11/2015 | on 13/11/2015 | 2015-11-13 | 2015-11-15
what was said in the trial on June 18 | on June 18 | 2024-06-18 | now
what was said on 5 June | on 5 June | 2024-06-05 | 2024-06-07
who annexed Crimea in 2014 | in 2014 | 2014-01-01 | 2014-12-31
In 2014, who annexed Crimea? | In 2014 | 2014-01-01 | 2014-12-31
wer hat 2014 die Krim besetzt in 2014 | in 2014 | 2014-01-01 | 2014-12-31
Ukraine war 2014 | 2014 | 2014-01-01 | 2014-12-31
Ukraine War 2014 | 2014 | 2014-01-01 | 2014-12-31
Nepal earthquake 2015 death toll | 2015 | 2015-01-01 | 2015-12-31
gas prices 2021 | 2021 | 2021-01-01 | 2021-12-31
unrest during 2011 in Egypt | during 2011 | 2011-01-01 | 2011-12-31
early 2020 lockdown in Wuhan | early 2020 | 2020-01-01 | 2020-12-31
protests in mid-2019 in Hong Kong | in mid-2019 | 2019-01-01 | 2019-12-31
in the year 2003 who invaded Iraq | in the year 2003 | 2003-01-01 | 2003-12-31
what did the Fed do in 2024 | in 2024 | 2024-01-01 | now
sanctions in 2024-05 | in 2024-05 | 2024-05-01 | 2024-05-31
Greek debt crisis 2010-2015 | 2010-2015 | 2010-01-01 | 2015-12-31
Greek debt in 2010–12 | in 2010–12 | 2010-01-01 | 2012-12-31
wars in Yugoslavia in the 1990s | in the 1990s | 1990-01-01 | 1999-12-31
famine during the 1980s | during the 1980s | 1980-01-01 | 1989-12-31
Greece between 2015 and 2017 | between 2015 and 2017 | 2015-01-01 | 2017-12-31
strikes from January to March 2022 | from January to March 2022 | 2022-01-01 | 2022-03-31
January to March 2022 strikes | January to March 2022 | 2022-01-01 | 2022-03-31
strikes between 3 June 2024 and 7 June 2024 | between 3 June 2024 and 7 June 2024 | 2024-06-03 | 2024-06-09
fires in 2019 and 2020 in Australia | in 2019 and 2020 | 2019-01-01 | 2020-12-31
in June and July 2023 what burned | in June and July 2023 | 2023-06-01 | 2023-07-31
who led Britain between 2016 and 2022 | between 2016 and 2022 | 2016-01-01 | 2022-12-31
stories from the past six months | from the past six months | 2023-12-20 | now
from 2015 to 2017 who led Greece | from 2015 to 2017 | 2015-01-01 | 2017-12-31
inflation since 2020 | since 2020 | 2020-01-01 | now
how has Poland changed since the election in 2023 | since the election in 2023 | 2023-01-01 | now
Sudan after the coup in October 2021 | after the coup in October 2021 | 2021-10-01 | now
deaths since Russia's invasion in February 2022 | since Russia's invasion in February 2022 | 2022-02-01 | now
deaths since October 7, 2023 | since October 7, 2023 | 2023-10-07 | now
what has burned since Monday | since Monday | 2024-06-17 | now
storms since last week | since last week | 2024-06-10 | now
trade with China from 2018 on | from 2018 | 2018-01-01 | now
Brexit after March 2021 | after March 2021 | 2021-04-01 | now
travel after 2022 | after 2022 | 2023-01-01 | now
Greece before 2019 | before 2019 | - | 2018-12-31
cases before March 2020 | before March 2020 | - | 2020-02-29
Turkey after last week's earthquake | after last week | 2024-06-10 | now
prior to 2008 what did banks lend | prior to 2008 | - | 2007-12-31
who resigned yesterday | yesterday | 2024-06-19 | now
Yesterday, who resigned? | Yesterday | 2024-06-19 | now
what fell from the sky last night | last night | 2024-06-19 | now
the day before yesterday's vote | the day before yesterday | 2024-06-18 | now
what happened last week | last week | 2024-06-10 | 2024-06-18
last week's summit | last week | 2024-06-10 | 2024-06-18
last weekend's match | last weekend | 2024-06-15 | 2024-06-18
who won last weekend | last weekend | 2024-06-15 | 2024-06-18
what did the court decide this month | this month | 2024-06-01 | now
which banks failed this year | this year | 2024-01-01 | now
which banks failed earlier this year | earlier this year | 2024-01-01 | now
who resigned last month | last month | 2024-05-01 | 2024-05-31
who resigned last year | last year | 2023-01-01 | 2023-12-31
in the last year who resigned | in the last year | 2023-01-01 | 2023-12-31
strikes in the past week | in the past week | 2024-06-13 | now
strikes over the past year | over the past year | 2023-06-20 | now
strikes in the past three months | in the past three months | 2024-03-20 | now
strikes over the last 10 days | over the last 10 days | 2024-06-10 | now
strikes in the last couple of weeks | in the last couple of weeks | 2024-06-06 | now
growth over the past decade | over the past decade | 2014-06-20 | now
what sank two years ago | two years ago | 2021-12-19 | 2022-12-20
what sank 3 weeks ago | 3 weeks ago | 2024-05-26 | 2024-06-03
what sank a month ago | a month ago | 2024-05-04 | 2024-06-05
what sank five days ago | five days ago | 2024-06-15 | 2024-06-17
fires last summer | last summer | 2023-06-01 | 2023-08-31
fires this summer | this summer | 2024-06-01 | now
storms last winter | last winter | 2023-12-01 | 2024-02-29
votes in spring 2021 | in spring 2021 | 2021-03-01 | 2021-05-31
in the summer of 2018 which cave flooded | in the summer of 2018 | 2018-06-01 | 2018-08-31
what did the court decide on Monday | on Monday | 2024-06-17 | now
what did the court decide last Friday | last Friday | 2024-06-14 | now
what did the court decide this past Tuesday | this past Tuesday | 2024-06-18 | now
what was found early Wednesday | early Wednesday | 2024-06-19 | now
who spoke on Thursday | on Thursday | 2024-06-13 | now
on Monday of last week who spoke | last week | 2024-06-10 | 2024-06-18
who attacked Israel last October | last October | 2023-10-01 | 2023-10-31
deaths since October | since October | 2023-10-01 | now
Who fell ill? What did doctors say in March 2022? | in March 2022 | 2022-03-01 | 2022-03-31
which ship that sank was found last week | last week | 2024-06-10 | 2024-06-18
"""

UNNAMED = """
how may the war end
what may happen to Ukraine
this may be the end of the euro
May resigned as prime minister
Theresa May Brexit speech
confidence in May among Tory MPs
a march on Washington
march on Rome fascists
who led this march to the sea
civil rights march
7 eleven takeover
1984 by Orwell
newspeak in 1984 by Orwell
in Nineteen Eighty-Four
Blade Runner 2049
Cyberpunk 2077 refunds
2001: A Space Odyssey
Wonder Woman 1984 box office
where does the sun rise in August Wilson's play
August Wilson Fences
in August Wilson's plays
April O'Neil
in April Ryan's book
June Squibb
January Jones
Super Bowl 2022
Super Bowl 2022 winner
Olympics 2020
who won the 2020 Olympics
World Cup 2026
FIFA World Cup 2018 final
world cup 2018
in 2018 World Cup who scored most
election 2020 results
the 2016 election
who won in the 2016 election
US presidential election 2016
Oscars 2017 mix-up
Euro 2016
Eurovision 2022
Agenda 2030
Vision 2030 Saudi Arabia
Expo 2020 Dubai
COP26 pledges
Tokyo 2020
London 2012 legacy
G20
Covid-19
COVID-19 vaccine
Boeing 737
Boeing 747-400
US$ 2000
US$2000 fine
$2021 million
2000 people
in 2000 people with diabetes
1,984 people
2024 euros
Catch-22
area 51
9/11
July 4th fireworks
Fourth of July parade
Black Friday
Black Friday sales
Taco Tuesday
Ruby Tuesday bankruptcy
Super Tuesday results
on Saturday Night Live
on Monday Night Football
the Sunday Times
Friday the 13th
Good Friday agreement
fiscal year 2022
fiscal 2022 deficit
Windows 2000
Route 66
Class of 2020
model 2015 recalls
resolution 2231
Section 1983
PM2.5
1/2000 in UK have abnormal PrP
population 2000000
flight 1549
Area 1998 m
IL-2010 receptors
the 2008 financial crisis
effects of the financial crisis of 2008
Arab Spring
Prague Spring
winter is coming
Last Week Tonight
John Oliver Last Week Tonight
the Beatles song Yesterday
the film Last Summer
New Year's Day honours
World Press Freedom Day
what day is Easter
the last year of the war
last days of Pompeii
in the last month of his life
last year's budget
this year's Oscars
the last emperor
the first in 42 years
after how many days was it lifted
by 2014 how many had left
by March 2022
emissions target for 2030
what will happen in 2030
who will win on Monday
what is set to happen in June
who attacked Israel in October
who governed until 2015
memories from 20 years ago
up from last December
fireworks this fall
concerts this July
charged in relation to the riot at the U.S. Capitol on Jan. 6, 2021
which court ruling may be overturned later this year
which phone will Apple show this week
which airline was sold this week
which minister resigned this week after the coup last October
who spoke on Tuesday this week
who wed this weekend
which company that she founded in 2003 went bankrupt
a company founded in 2003
people born in 1990
the church built in 1604
a novel set in 2019
compared to a year ago
higher than in 2019
more people than two years ago
prices vs 2019
which city had the worst air last year, according to a new report
a study of deaths in 2021
who recently won, two years ago a nobody
monuments were removed in 2021. How many remain?
What was found in 2019 and 2020? Where is the plant?
how long did then-President Trump wait during the insurrection on January 6, 2021
who led the country before the coup in 2021
Oreo is celebrating its 110th birthday on March 6
the January 6 committee
inflation in 2019 or again in 2022
"in March 2022" as a phrase
the report said “last week”
31 June 2024
on 31.06.2024
since 2030
after 2024
before 2050
what does Russia want from North Korea
latest news on Gaza
who is president now
"""


def moment(said: str, *, end: bool) -> datetime | None:
    if said in {"-", "now"}:
        return None if said == "-" else NOW
    day = datetime.fromisoformat(said).replace(tzinfo=UTC)
    return day + timedelta(days=1, microseconds=-1) if end else day


@pytest.mark.parametrize("line", NAMED.strip().splitlines())
def test_a_question_that_names_its_period(line: str) -> None:
    text, words, after, before = line.split(" | ")
    found = period_of(text, NOW)
    assert found is not None
    assert (found.words, found.after, found.before) == (words, moment(after, end=False), moment(before, end=True))
    assert text[found.start : found.end] == words


@pytest.mark.parametrize("text", UNNAMED.strip().splitlines())
def test_a_question_that_only_looks_like_it(text: str) -> None:
    assert period_of(text, NOW) is None


@pytest.mark.parametrize(
    ("asked", "text", "after", "before"),
    [
        ("2024-01-02T09:00", "who resigned last year", "2023-01-01", None),  # what sums the year up is still written
        ("2024-04-05T09:00", "who resigned last year", "2023-01-01", "2023-12-31"),
        ("2024-01-02T09:00", "who died in 2023", "2023-01-01", None),
        ("2024-04-05T09:00", "who died in 2023", "2023-01-01", "2023-12-31"),
        ("2022-04-04T09:00", "Mariupol in March 2022", "2022-03-01", None),
        ("2022-04-20T09:00", "Mariupol in March 2022", "2022-03-01", "2022-03-31"),
        ("2024-01-03T09:00", "who resigned this year", "2023-12-27", None),
        ("2024-03-04T09:00", "storms last winter", "2023-12-01", None),
        ("2024-02-04T09:00", "storms this winter", "2023-12-01", None),
        ("2024-03-31T09:00", "strikes in the past month", "2024-02-29", None),
        ("2024-02-29T09:00", "strikes in the past year", "2023-02-28", None),
        ("2024-06-17T09:00", "who spoke on Monday", "2024-06-10", None),
        ("2024-06-16T09:00", "who won last weekend", "2024-06-08", "2024-06-11"),
        ("2024-06-18T23:00-05:00", "who spoke yesterday", "2024-06-18", None),
    ],
)
def test_a_period_is_reckoned_from_the_moment_of_asking(asked: str, text: str, after: str, before: str | None) -> None:
    now = datetime.fromisoformat(asked)
    now = now if now.tzinfo else now.replace(tzinfo=UTC)
    found = period_of(text, now)
    assert found is not None
    assert found.after == moment(after, end=False)
    assert found.before == (moment(before, end=True) if before else now)
    assert found.before.tzinfo is UTC


WORDS = (
    "in on since after before between and from to the last past this of who , . ? March may 18 2022 2014 3 1990s year "
    "week Monday June, ago yesterday summer election that 31 February 2024-06-31 2017-2015 31.02.2024 few"
).split()


@given(
    st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=14).map(" ".join),
    st.datetimes(timezones=st.just(UTC)),
)
def test_no_text_is_wrong_and_no_period_passes_the_moment_of_asking(text: str, now: datetime) -> None:
    found = period_of(text, now)
    if found is not None:
        assert text[found.start : found.end] == found.words
        assert found.before <= now
        assert found.after is None or found.after <= found.before


def test_a_text_full_of_times_names_none() -> None:
    assert period_of("in 2014 " * 125, NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "latest on Gaza", "what is happening now", "who is president right now", "what did the Fed say today",
        "Today in Paris", "who currently leads Peru", "the current king", "breaking news Ukraine", "breaking: Ukraine",
        "the newest phone", "who recently won", "a recent study", "who spoke this morning", "debate tonight",
        "Now what", "the most recent eruption",
    ],
)  # fmt: skip
def test_a_question_for_the_newest(text: str) -> None:
    assert is_urgent(text)


@pytest.mark.parametrize(
    "text",
    [
        "what does Russia want", "USA Today circulation", "Apocalypse Now director", "the Tonight Show host",
        "her now-defunct startup", "record-breaking heat", "Breaking Bad actor", "until now unknown", "known for years",
        "at the latest by May", "who resigned in 2014", "current account deficit", "a nowhere man", "snow in Rome",
    ],
)  # fmt: skip
def test_a_question_in_no_hurry(text: str) -> None:
    assert not is_urgent(text)
