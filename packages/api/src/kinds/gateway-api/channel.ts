/** What to do about a field that the standard channel lacks. */
export const experimental = "It is of Gateway API's experimental channel, which Weft does not take: leave it out";
