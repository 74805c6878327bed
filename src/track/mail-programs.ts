/**
 * What mail programs, their proxies and browsers call themselves, and what we call them: a table that a person can read and extend. The
 * families are keys of statistics, so there are as many as stand here and no more, whatever a stranger writes into a header.
 */
import type { Reader } from "../mail/reader.ts";

export interface MailProgram {
  pattern: RegExp;
  family: string;
  company: string;
  /** Absent where the program runs on several: then what it says of its system decides. */
  platform?: Reader["platform"];
  /** Somebody else's server asks for the picture: neither system nor place are the reader's. */
  isProxy?: true;
}

const APPLE = "Apple Inc.";
const MICROSOFT = "Microsoft Corporation";
const GOOGLE = "Google Inc.";
const YAHOO = "Yahoo! Inc.";

/** The first that fits; the version follows the first group, if there is one. Order matters: a proxy's name stands behind a browser's. */
export const MAIL_PROGRAMS: MailProgram[] = [
  // "… Firefox/11.0 (via ggpht.com GoogleImageProxy)"
  { pattern: /GoogleImageProxy/, family: "Gmail", company: GOOGLE, platform: "WebMail", isProxy: true },
  // Gmail's fetch of the picture at delivery has an Edge of 2015 for ever.
  {
    pattern: /Edge\/12\.246 Mozilla\/5\.0$/,
    family: "Gmail",
    company: GOOGLE,
    platform: "WebMail",
    isProxy: true,
  },
  { pattern: /YahooMailProxy/, family: "Yahoo! Mail", company: YAHOO, platform: "WebMail", isProxy: true },
  {
    pattern: /YahooMobile(?:Mail|Messenger)?\/([\d.]+)/,
    family: "Yahoo! Mail",
    company: YAHOO,
    platform: "Mobile",
  },
  // Apple's Mail Privacy Protection says this and nothing more, on every device.
  { pattern: /^Mozilla\/5\.0$/, family: "Apple Mail", company: APPLE, platform: "Unknown", isProxy: true },
  {
    pattern: /Outlook-(?:iOS|Android)(?:\/([\d.]+))?/,
    family: "Outlook Mobile",
    company: MICROSOFT,
    platform: "Mobile",
  },
  {
    pattern: /(?:MacOutlook|OneOutlook)\/([\d.]+)/,
    family: "Outlook",
    company: MICROSOFT,
    platform: "Desktop",
  },
  {
    pattern: /Microsoft Outlook ([\d.]+)|MSOffice \d|ms-office/,
    family: "Outlook",
    company: MICROSOFT,
    platform: "Desktop",
  },
  {
    pattern: /Outlook-Express\/([\d.]+)/,
    family: "Outlook Express",
    company: MICROSOFT,
    platform: "Desktop",
  },
  { pattern: /Thunderbird\/([\d.]+)/, family: "Thunderbird", company: "Mozilla Foundation" },
  { pattern: /Postbox\/([\d.]+)/, family: "Postbox", company: "Postbox, Inc.", platform: "Desktop" },
  {
    pattern: /Lotus-Notes\/([\d.]+)/,
    family: "Lotus Notes",
    company: "IBM Corporation",
    platform: "Desktop",
  },
  { pattern: /eM ?Client\/([\d.]+)/i, family: "eM Client", company: "eM Client Inc." },
  { pattern: /Mailbird\/([\d.]+)/, family: "Mailbird", company: "Mailbird, Inc.", platform: "Desktop" },
  { pattern: /The Bat! ?([\d.]+)/, family: "The Bat!", company: "Ritlabs", platform: "Desktop" },
  { pattern: /Evolution\/([\d.]+)/, family: "Evolution", company: "The GNOME Project", platform: "Desktop" },
  { pattern: /Airmail ?\/?([\d.]+)?/, family: "Airmail", company: "Bloop S.r.l." },
  { pattern: /Superhuman/, family: "Superhuman", company: "Superhuman Labs, Inc." },
  // WebKit inside another program: on a Mac or an iPhone that shows a mail's pictures, Apple's own.
  {
    pattern:
      /^Mozilla\/5\.0 \((?:Macintosh|iPhone|iPad)[^)]*\) AppleWebKit\/[\d.]+ \(KHTML, like Gecko\)(?: Mobile\/\w+)?$/,
    family: "Apple Mail",
    company: APPLE,
  },
];

/**
 * Programs that follow links and fetch pictures for somebody: security scanners, previews of chats, crawlers. They are nobody's reading.
 * Only those are here that say so: most scanners call themselves a browser, which no header tells from a person's.
 */
export const SCANNERS: { pattern: RegExp; family: string; company: string }[] = [
  { pattern: /barracuda/i, family: "Barracuda scanner", company: "Barracuda Networks, Inc." },
  { pattern: /proofpoint/i, family: "Proofpoint scanner", company: "Proofpoint, Inc." },
  { pattern: /mimecast/i, family: "Mimecast scanner", company: "Mimecast" },
  { pattern: /safe-?links|SkypeUriPreview|BingPreview/i, family: "Microsoft scanner", company: MICROSOFT },
  {
    pattern:
      /cloudmark|fireeye|forcepoint|fortiguard|trendmicro|symantec|sophos|trellix|zscaler|urlscan|virustotal/i,
    family: "Security scanner",
    company: "unknown",
  },
  {
    pattern:
      /slack(?:bot|-imgproxy)|facebookexternalhit|facebot|twitterbot|linkedinbot|whatsapp\/|telegrambot|discordbot|redditbot|pinterest(?:bot|\/0)|snap url preview/i,
    family: "Link preview",
    company: "unknown",
  },
  {
    pattern: /headlesschrome|phantomjs|puppeteer|playwright|selenium/i,
    family: "Headless browser",
    company: "unknown",
  },
  {
    pattern:
      /googlebot|bingbot|yandexbot|baiduspider|duckduckbot|applebot|ahrefsbot|semrushbot|\bcrawler\b|\bspider\b/i,
    family: "Crawler",
    company: "unknown",
  },
];

/** By what the library calls them. */
export const BROWSERS: Record<string, { family: string; company: string }> = {
  Chrome: { family: "Chrome", company: GOOGLE },
  Chromium: { family: "Chromium", company: GOOGLE },
  "Android Browser": { family: "Android Browser", company: GOOGLE },
  Firefox: { family: "Firefox", company: "Mozilla Foundation" },
  Safari: { family: "Safari", company: APPLE },
  "Microsoft Edge": { family: "Edge", company: MICROSOFT },
  "Internet Explorer": { family: "Internet Explorer", company: MICROSOFT },
  Opera: { family: "Opera", company: "Opera Software" },
  "Opera Touch": { family: "Opera", company: "Opera Software" },
  "Samsung Internet for Android": { family: "Samsung Internet", company: "Samsung" },
  Vivaldi: { family: "Vivaldi", company: "Vivaldi Technologies" },
  "Yandex Browser": { family: "Yandex Browser", company: "Yandex" },
  "UC Browser": { family: "UC Browser", company: "UCWeb" },
  DuckDuckGo: { family: "DuckDuckGo", company: "Duck Duck Go, Inc." },
  Brave: { family: "Brave", company: "Brave Software" },
  SeaMonkey: { family: "SeaMonkey", company: "SeaMonkey Council" },
  "QQ Browser": { family: "QQ Browser", company: "Tencent" },
  MIUI: { family: "MIUI Browser", company: "Xiaomi" },
};

export const SYSTEMS: Record<string, string> = {
  Windows: MICROSOFT,
  "Windows Phone": MICROSOFT,
  macOS: APPLE,
  iOS: APPLE,
  Android: GOOGLE,
  "Chrome OS": GOOGLE,
  Linux: "Linux Foundation",
  Ubuntu: "Canonical",
};
