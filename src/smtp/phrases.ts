/**
 * What refusals say, and which of Postmark's bounce types that is: data for a person to read and extend. A refusal for reputation,
 * policy or content is never a HardBounce: that would suppress an address which is good. A new row comes with a reply in the tests.
 */
export type BounceTypeName =
  | "HardBounce"
  | "SoftBounce"
  | "Blocked"
  | "SpamNotification"
  | "VirusNotification"
  | "ChallengeVerification"
  | "DMARCPolicy"
  | "DnsError"
  | "Transient"
  | "Unknown";

/** The first row that fits decides: order matters. Every pattern is bounded, so that no text from outside is slow to read. */
export type Row = [pattern: RegExp, type: BounceTypeName];

/**
 * Words that outweigh any code, since providers answer 5.1.1 and 5.0.0 to blocked senders too. Order matters: the first
 * that fits. Each with whom it was seen at.
 */
export const TELLING_WORDS: Row[] = [
  [/\bdmarc\b/i, "DMARCPolicy"], // Gmail: "Unauthenticated email from x is not accepted due to domain's DMARC policy"
  [/\bvirus\b|malware|infected|trojan/i, "VirusNotification"], // ClamAV milters: "virus Eicar-Test-Signature found"
  [
    /challenge.?response|verify (?:that )?you are (?:a )?human|confirm your message/i,
    "ChallengeVerification",
  ],
  [/(?:block|black|deny|reject).?list|\brbls?\b|\bdnsbl\b/i, "Blocked"], // Outlook: "part of their network is on our block list"
  [/\bblocked\b|\bbanned\b/i, "Blocked"], // Yahoo, Comcast: "blocked for abuse"
  [/spamhaus|spamcop|barracuda|sorbs|abuseat|senderscore|cloudmark|proofpoint|uceprotect/i, "Blocked"],
  [/\bDT:SPM\b|\bHL:REP\b|bloqu[eé]e? pour/i, "Blocked"], // NetEase 163, Orange
  [/reputation/i, "Blocked"], // Gmail: "very low reputation of the sending IP address"
  [
    /\b(?:detected|classified|identified|considered|flagged|marked) as (?:\w+ )?(?:spam|junk|bulk)/i,
    "SpamNotification",
  ],
  [/looks like spam|spam (?:message|content|detected|score)|is spam\b/i, "SpamNotification"], // SpamAssassin, Exim set-ups
  [/\bspam\b|\buce\b|unsolicited|\bjunk\b/i, "Blocked"], // "550 High probability of spam", "Spam message rejected"
  [/\bspf\b|\bdkim\b|unauthenticated|not authenticated|authentication (?:check|fail)/i, "Blocked"],
  [/(?:reverse|ptr|rdns).{0,40}(?:dns|record|lookup|match)|no ptr/i, "Blocked"],
  [/rate.?limit|too many (?:messages|connections|emails)|throttl/i, "Blocked"],
];

/** As telling as those, for addresses that providers refuse with a code of something else. Never against the words above. */
export const TELLING_ADDRESS_WORDS: Row[] = [
  [/recipient address rejected: access denied/i, "HardBounce"], // Exchange Online's directory-based blocking: 5.4.1
  [/recipientnotfound|UserNotFound|no such user|unknown user|user unknown/i, "HardBounce"], // with 5.7.1 and 5.4.x, at small servers
];

/** What the enhanced code says: RFC 3463 and the IANA registry. Compared without the class, which the code decides. */
export const STATUS: Row[] = [
  [/^1\.[1236]$/, "HardBounce"], // no such mailbox, no such host, bad syntax, mailbox moved
  [/^1\.10$/, "HardBounce"], // null MX (RFC 7505)
  [/^1\.[578]$/, "Unknown"], // about the sender's address
  [/^1\.4$/, "SoftBounce"], // ambiguous
  [/^2\.1$/, "HardBounce"], // mailbox disabled
  [/^2\.[23]$/, "SoftBounce"], // mailbox full; message too long for it
  [/^2\./, "SoftBounce"],
  [/^3\./, "SoftBounce"], // mail system full, not accepting, message too big
  [/^4\.310$/, "HardBounce"], // Exchange Online: the recipient's domain does not exist
  [/^4\.(?:[34]|312)$/, "DnsError"], // directory server, unable to route
  [/^4\.6$/, "Transient"], // routing loop
  [/^4\./, "Transient"], // no answer, bad connection, expired
  [/^5\.3$/, "SoftBounce"], // too many recipients
  [/^6\./, "SoftBounce"], // media and conversion
  [/^7\.(?:2[0-9]|30)$/, "Blocked"], // DKIM, SPF, reverse DNS, ARC (RFC 7372, 8617)
  [/^7\./, "Blocked"],
];

/** What is said where no code told. */
export const WORDS: Row[] = [
  [
    /(?:user|recipient|mailbox|account|address|rcpt).{0,40}(?:unknown|not (?:found|exist|known|valid)|does(?:n't| not) exist|invalid|disabled|inactive|no longer|unrouteable)/i,
    "HardBounce",
  ],
  [
    /(?:unknown|no such|invalid|bad|unrouteable|non-?existent|undeliverable).{0,20}(?:user|recipient|mailbox|account|address|local)/i,
    "HardBounce",
  ],
  [/does(?:n't| not) (?:have|handle) .{0,40}account|not our customer|no mailbox here/i, "HardBounce"], // Yahoo
  [
    /quota|mailbox.{0,20}full|full mailbox|insufficient (?:system )?(?:storage|space)|out of disk|storage/i,
    "SoftBounce",
  ],
  [/too (?:large|big|long)|size limit|exceeds .{0,20}size|maximum .{0,20}size/i, "SoftBounce"],
  [/relay(?:ing)? (?:access )?(?:denied|not (?:permitted|allowed))|not permitted to relay/i, "HardBounce"],
  [
    /unrout?able|not listed in (?:the )?(?:domino|public|name)|(?:cannot|can't|could not|couldn't) (?:find|match).{0,40}(?:mailbox|user|recipient|address|name)/i,
    "HardBounce",
  ], // Exim, Domino, qmail
  [
    /recipient(?: name)? (?:is |was )?not (?:recognized|found)|could ?n[o']t be found|is ?n[o']t found at|email account that you tried to reach|user .{0,80}not listed|account (?:is |has been )?(?:closed|suspended|deactivated|terminated)|bad destination|\baddress(?:ee)? (?:is )?(?:unknown|bad)|illegal alias|addresses? failed|this user does/i,
    "HardBounce",
  ],
  [/\b(?:unknown|no such) (?:host|domain)|\b(?:host|domain) unknown/i, "HardBounce"], // smail, sendmail
  [/dns|domain not found|host not found|name server/i, "DnsError"],
  [
    /policy|access denied|not allowed|refused|prohibited|content (?:rejected|not accepted)|administrative/i,
    "Blocked",
  ],
  [/timed? ?out|connection|network|temporar|try again|unavailable at this time/i, "Transient"],
];

/** The same in other languages: of servers that translate the reply, or say it only in the text of the report. */
export const TRANSLATED_WORDS: Row[] = [
  [
    /unbekannte[rn]? (?:benutzer|empfänger|adress)|(?:empfänger|benutzer|postfach|adresse|konto).{0,60}(?:nicht (?:gefunden|bekannt|vorhanden|existier)|unbekannt|ungültig|existiert nicht)/i,
    "HardBounce",
  ], // German
  [
    /(?:destinataire|utilisateur|adresse|compte|boîte).{0,60}(?:inconnue?|n[’']existe|introuvable|invalide|pas été trouvée?)/i,
    "HardBounce",
  ], // French
  [
    /(?:usuario|destinatario|dirección|cuenta|buzón).{0,60}(?:desconocid|no existe|no se (?:ha )?encontr|inexistente|no válid)/i,
    "HardBounce",
  ], // Spanish
  [
    /(?:usuário|destinatário|endereço|conta|caixa).{0,60}(?:desconhecid|não existe|inexistente|não (?:foi )?encontrad|inválid)/i,
    "HardBounce",
  ], // Portuguese
  [
    /(?:utente|destinatario|indirizzo|casella|account).{0,60}(?:sconosciut|non esiste|inesistente|non (?:è stat[oa] )?trovat|non valid)/i,
    "HardBounce",
  ], // Italian
  [
    /(?:geadresseerde|gebruiker|adres|mailbox|postvak).{0,60}(?:onbekend|niet gevonden|bestaat niet|ongeldig)/i,
    "HardBounce",
  ], // Dutch
  [/(?:adresat|użytkownik|adres|skrzynk|konto).{0,60}(?:nie istnieje|nieznan|nie został)/i, "HardBounce"], // Polish
  [
    /(?:пользовател|адресат|получател|ящик|адрес).{0,60}(?:не найден|не существует|неизвест|не зарегистрирован)|(?:нет такого|неизвестный) (?:пользовател|адресат|получател)/i,
    "HardBounce",
  ], // Russian
  [/(?:mottagar|användar|adress).{0,60}(?:finns inte|okänd|hittades inte)/i, "HardBounce"], // Swedish
  [
    /(?:modtager|mottaker|bruger|bruker|adresse).{0,60}(?:ikke fundet|ikke funnet|ukendt|ukjent|findes ikke|finnes ikke)/i,
    "HardBounce",
  ], // Danish, Norwegian
  [/(?:vastaanottaja|käyttäjä|osoite).{0,60}(?:ei löydy|tuntematon|ei ole olemassa)/i, "HardBounce"], // Finnish
  [/(?:příjemce|uživatel|adresa|schránka).{0,60}(?:neexistuje|neznám|nenalezen|nebyl)/i, "HardBounce"], // Czech
  [/(?:címzett|felhasználó|cím).{0,60}(?:nem található|ismeretlen|nem létezik)/i, "HardBounce"], // Hungarian
  [/(?:alıcı|kullanıcı|adres).{0,60}(?:bulunamadı|bilinmiyor|mevcut değil)/i, "HardBounce"], // Turkish
  [
    /(?:宛先|ユーザ|メールアドレス|受信者|アドレス).{0,40}(?:見つかりません|存在しません|不明|ありません)/,
    "HardBounce",
  ], // Japanese
  [
    /(?:用户|收件人|邮箱|帐号|账号|地址|信箱|使用者).{0,40}(?:不存在|未找到|找不到|无效|不正确)|找不到.{0,20}(?:用户|收件人|邮箱|地址)/,
    "HardBounce",
  ], // Chinese
  [/(?:사용자|수신자|받는 사람|계정|주소|메일).{0,40}(?:없습니다|찾을 수 없|존재하지 않)/, "HardBounce"], // Korean
  [
    /postfach.{0,40}(?:voll|überschritten)|boîte.{0,60}(?:pleine|saturée)|quota.{0,20}dépassé|buzón.{0,40}(?:llen|lleno)|caixa.{0,40}cheia|casella.{0,40}piena|postvak.{0,30}vol|skrzynk.{0,40}(?:pełna|przepełniona)|ящик.{0,40}переполнен|schránka.{0,30}plná|容量.{0,20}(?:超え|不足)|いっぱい|(?:邮箱|信箱).{0,20}(?:已满|空间不足)|용량.{0,20}초과/i,
    "SoftBounce",
  ],
];

/** RFC 5321 §4.2.3, for replies with nothing better. */
export const CODES: Record<number, BounceTypeName> = {
  421: "Transient",
  450: "SoftBounce",
  451: "SoftBounce",
  452: "SoftBounce",
  550: "HardBounce",
  551: "HardBounce",
  552: "SoftBounce",
  553: "HardBounce",
  554: "Unknown",
  556: "HardBounce", // RFC 7504: the domain takes no mail
};
