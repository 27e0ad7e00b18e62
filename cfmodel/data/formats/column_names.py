"""Names of columns as people write them: which are known, and what a name says about its column."""

import re
import shlex
import unicodedata

from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID

#: The words for roles in messages.
WORDS = {USER_ID: "user", MOVIE_ID: "movie", RATING: "rating", TIMESTAMP: "time"}

#: Column names that are recognised, in order of preference. Case, accents, blanks and punctuation do not
#: matter: `userId`, `user_id` and `User-ID` are the same name.
_WELL_KNOWN_TEXT = {
    USER_ID: (
        "userid user uid reviewerid reviewer customerid customer memberid member visitorid accountid raterid "
        "playerid profileid personid viewerid readerid subscriberid steamid username userkey reviewername nickname "
        "screenname profilename login email usr benutzerid benutzer nutzerid nutzer kundenid kundennummer kunde "
        "utilisateur client usuarioid usuario cliente utente gebruiker klant"
    ),
    MOVIE_ID: (
        "movieid movie itemid item iid filmid film bookid book isbn isbn13 asin parentasin productid product "
        "businessid artistid artist trackid track songid song animeid anime gameid game recipeid jokeid joke articleid "
        "article contentid appid showid seriesid restaurantid placeid venueid hotelid podcastid episodeid courseid "
        "titleid imdbid tmdbid sku artikelid artikelnummer artikel produktid produkt buch produit livre producto "
        "pelicula libro prodotto filme produto"
    ),
    RATING: (
        "rating ratings score stars star overall starrating bookrating userrating reviewscore ratingvalue myscore "
        "userscore userreview grade points rate mark preference weight bewertung sterne wertung puntuacion "
        "calificacion valoracion avaliacao valutazione voto beoordeling nota note"
    ),
    TIMESTAMP: (
        "timestamp ratingtimestamp unixreviewtime unixtime epoch time ts datetime date createdat ratedat reviewedat "
        "updatedat reviewtime reviewdate ratingdate ratingtime dateadded dateupdated datum zeit zeitstempel zeitpunkt "
        "fecha horodatage"
    ),
}
WELL_KNOWN = {role: names.split() for role, names in _WELL_KNOWN_TEXT.items()}
#: Parts of names that say what a column is not, if it is the only one left for a role.
_TEXTS = "year url uri link date time text review comment genre categor price summary descr tag note image status lang"
_NEITHER = (*_TEXTS.split(), "country", "helpful", "vote", "verified", "watch", "seen", "fav", "like", "count", "rank")
_NOT_A = {
    USER_ID: (*_NEITHER, "title", "name", "movie", "film", "book", "item", "score"),
    MOVIE_ID: (*_NEITHER, "user", "score"),
    RATING: (*_TEXTS.split(), "title", "name", "user", "verified"),
}
#: Names of columns that number the rows, as pandas, R and databases write them.
_ROW_NUMBERS = ("", "index", "indexlevel0", "level0", "rownames", "rowname", "rownumber", "rowindex", "row")


def plain(name: str) -> str:
    """Return a name without case, accents, blanks and punctuation."""
    # RecBole writes a type behind the name (`user_id:token`), the SNAP reviews a table before it (`review/userId`).
    own = re.sub(r":(token|float)(_seq)?$", "", name.rpartition("/")[2])
    decomposed = unicodedata.normalize("NFKD", own.casefold())  # an accent becomes a character of its own
    return "".join(letter for letter in decomposed if letter.isalnum())


def paste(role: str, name: str) -> str:
    """Return the option that gives a column its role."""
    return f"--set ingest.columns.{role}={shlex.quote(name.encode(errors='replace').decode())}"


def fits(role: str, name: str) -> bool:
    """Return whether a column may have a role, by its name."""
    bare = plain(name)
    if role == RATING and bare.endswith("id"):
        return False
    return not any(part in bare for part in _NOT_A[role])


def numbers_rows(name: str) -> bool:
    """Return whether a column by its name only numbers the rows."""
    bare = plain(name)
    return bare in _ROW_NUMBERS or "unnamed" in bare


def is_name_of(name: str, id: str) -> bool:
    """Return whether a column is the name of what another identifies: `movie` of `movieId`, `reviewerName`."""
    return id.endswith(("id", "key")) and (name.endswith(("name", "email", "login")) or id.startswith(name))
