/** What a reader's mail program told of itself, in Postmark's words (§9.3 and §16 of the wire contract). */
import type { Reader } from "../mail/reader.ts";

export function readerJson({ client, os, platform, userAgent, geo }: Reader) {
  return {
    Client: programJson(client),
    OS: programJson(os),
    Platform: platform,
    UserAgent: userAgent,
    Geo: geoJson(geo),
  };
}

function programJson({ name, company, family }: Reader["client"]) {
  return { Name: name, Company: company, Family: family };
}

/** What is undefined is not written into JSON. */
function geoJson(geo: Reader["geo"]) {
  return {
    CountryISOCode: geo.countryIsoCode,
    Country: geo.country,
    RegionISOCode: geo.regionIsoCode,
    Region: geo.region,
    City: geo.city,
    Zip: geo.zip,
    Coords: geo.coords,
    IP: geo.ip,
  };
}
