/**
 * What a person wrote in answer, without what they answered to: quoted lines at the end, and everything from the line that a mail
 * program puts above the original. Quotes between somebody's own words stay, since these answer them. Each pattern is tried on one
 * short line, and none repeats within a repetition, so that no text takes long.
 */

/** Of a text's beginning: a longer answer is shown to there. */
const MAX_LINES = 5_000;
/** Lines above an original are shorter; the address and the date may be on three of them. */
const MAX_LINE = 400;
const ABOVE_LINES = 3;

/** "On <date>, <name> wrote:", by the words it begins and ends with. */
const BEGINS =
  /^(?:>\s*)?(?:on|at|le|el|il|em|op|am|den|on|pe|dnia|w dniu|dne|в|ср|чт|пт|сб|вс|пн|вт|tarihinde|\d{1,4}[-./年]|\S+, |\S+ <)/i;
const ENDS =
  /(?:wrote|writes|a écrit|escribió|escreveu|ha scritto|schreef|schrieb|skrev|napisał(?:\(a\))?|napsal\(?a?\)?|kirjoitti|пише|написал(?:\(а\))?|пишет|yazdı|írta|έγραψε|のメール|書きました|写道|寫道|작성)\s*(?:<[^<>]*>)?\s*[:：]\s*$/i;
/** "schrieb <name> am <date>:" and others that begin with the verb. */
const VERB_FIRST =
  /^(?:am .{1,200} schrieb .{1,200}|op .{1,200} schreef .{1,200}|.{1,200} skrev .{0,200}|.{1,100}, .{1,100} <[^<>\s]+@[^<>\s]+>)\s*:$/i;

/** In whatever language: a year, a time of day and an address, before a colon. */
const DATED = [/(?:19|20)\d\d/, /\d{1,2}[:.]\d{2}/, /[<(][^<>()\s]+@[^<>()\s]+[>)]/];
/** Marks of a text's direction, which stand around what is written from the right. */
const DIRECTION = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const ORIGINAL =
  /^[>\s]*[-_*]{2,}\s*(?:original message|original appointment|forwarded message|ursprüngliche nachricht|originalnachricht|message d'origine|message original|mensaje original|mensagem original|messaggio originale|oorspronkelijk bericht|oprindelig meddelelse|originalmeddelande|ursprungligt meddelande|opprinnelig melding|alkuperäinen viesti|wiadomość oryginalna|původní zpráva|eredeti üzenet|исходное сообщение|orijinal mesaj|原始邮件|原始郵件|元のメッセージ|원본 메시지|reply above this line|reply to this email).{0,40}$/iu;
const RULE = /^[_-]{20,}\s*$/;
const DELIMITER = /(?:please )?(?:reply|type|write) (?:your reply )?above this line/i;

/** The fields of an original's header, as mail programs name them. */
const FROM =
  /^[>\s*]*(?:from|von|de|da|van|fra|från|lähettäjä|od|feladó|от|gönderen|kimden|发件人|寄件者|差出人|보낸 사람)\*?\s*[:：]\*?\s*\S/i;
const FIELD =
  /^[>\s*]*(?:sent|date|to|cc|subject|gesendet|datum|an|betreff|envoyé|date|à|objet|enviado|fecha|para|asunto|assunto|data|inviato|a|oggetto|verzonden|aan|onderwerp|sendt|til|emne|skickat|till|ämne|lähetetty|vastaanottaja|aihe|wysłano|data|do|temat|odesláno|komu|předmět|elküldve|címzett|tárgy|отправлено|дата|кому|тема|gönderme|kime|konu|发送时间|收件人|主题|寄件日期|收件者|主旨|送信日時|宛先|件名|보낸 날짜|받는 사람|제목)\*?\s*[:：]/i;

export function strippedReply(text: string): string {
  const lines = text.replace(/\r\n?/g, "\n").split("\n", MAX_LINES);
  const end = originalFrom(lines);
  let last = end;
  while (last > 0 && isQuoteOrBlank(lines[last - 1] ?? "")) last--;
  return lines.slice(answerFrom(lines, last), last).join("\n").trim();
}

/** An answer below all that it answers: this, and the line above it, goes. */
function answerFrom(lines: string[], last: number): number {
  let i = nextFull(lines, 0);
  if (isAbove(lines, i)) {
    while (i < last && !isAboveEnd(lines[i] ?? "")) i++;
    i = nextFull(lines, i + 1);
  }
  if (!isQuote(lines[i] ?? "")) return 0;
  while (i < last && isQuoteOrBlank(lines[i] ?? "")) i++;
  return lines.slice(i, last).some(isQuote) ? 0 : i;
}

/** The line where the original begins; the number of lines when there is none. */
function originalFrom(lines: string[]): number {
  const lastOwn = lines.findLastIndex((line) => !isQuoteOrBlank(line) && !/^--\s*$/.test(line));
  for (let i = 0; i < lines.length; i++) {
    const line = (lines[i] ?? "").trim();
    if (line === "" || line.length > MAX_LINE) continue;
    if (ORIGINAL.test(line) || DELIMITER.test(line)) return i;
    if (RULE.test(line) && isHeader(lines, nextFull(lines, i + 1))) return i;
    if (isHeader(lines, i)) return i;
    if (isAbove(lines, i)) {
      if (isAnsweredBelow(lines, i, lastOwn)) continue;
      return i;
    }
  }
  return lines.length;
}

/** A field for its author, and another right below it. */
function isHeader(lines: string[], i: number): boolean {
  const at = (n: number) => (lines[n] ?? "").slice(0, MAX_LINE);
  return FROM.test(at(i)) && (FIELD.test(at(i + 1)) || FIELD.test(at(i + 2)));
}

/** A line above an original, or the first of those that it was wrapped into. */
function isAbove(lines: string[], i: number): boolean {
  const joined = joinedFrom(lines, i);
  if ((BEGINS.test(joined) && ENDS.test(joined)) || VERB_FIRST.test(joined)) return true;
  // What stands before such a line is none of it.
  return isDated(joined) && !isDated(joinedFrom(lines, i + 1));
}

function isDated(joined: string): boolean {
  return DATED.every((pattern) => pattern.test(joined));
}

/** To the first line that ends in a colon; "" when none of the next does. */
function joinedFrom(lines: string[], i: number): string {
  let joined = "";
  for (let n = i; n < i + ABOVE_LINES && n < lines.length; n++) {
    const line = bare(lines[n] ?? "");
    joined = `${joined} ${line}`.trim();
    if (line === "" || joined.length > MAX_LINE) return "";
    if (/[:：]$/.test(line)) return joined;
  }
  return "";
}

/** Enough of it to see that it is too long. */
function bare(line: string): string {
  return line
    .slice(0, 2 * MAX_LINE)
    .replace(DIRECTION, "")
    .trim();
}

/** Whether what is quoted under such a line has the person's own words in it or below it: then it is no end. */
function isAnsweredBelow(lines: string[], i: number, lastOwn: number): boolean {
  let n = i;
  while (n < lines.length && !isAboveEnd(lines[n] ?? "")) n++;
  const below = nextFull(lines, n + 1);
  return isQuote(lines[below] ?? "") && lastOwn >= below;
}

function nextFull(lines: string[], from: number): number {
  let i = from;
  while (i < lines.length && (lines[i] ?? "").trim() === "") i++;
  return i;
}

function isAboveEnd(line: string): boolean {
  return /[:：]$/.test(bare(line));
}

function isQuote(line: string): boolean {
  return /^\s*>/.test(line);
}

function isQuoteOrBlank(line: string): boolean {
  return /^\s*(?:>|$)/.test(line);
}
