/** What a reader's mail program told of itself. */
export interface Reader {
  client: { name: string; company: string; family: string };
  os: { name: string; company: string; family: string };
  platform: "Desktop" | "Mobile" | "WebMail" | "Unknown";
  userAgent: string;
  geo: {
    countryIsoCode?: string;
    country?: string;
    regionIsoCode?: string;
    region?: string;
    city?: string;
    zip?: string;
    coords?: string;
    ip?: string;
  };
}
