/**
 * Mail domains whose addresses anybody may have: nobody but their provider can send from them without failing DMARC. Large ones only;
 * a domain that is missing here cannot be verified by a customer either, it is just not said at once.
 */
const PUBLIC = new Set(
  `
126.com 139.com 163.com 189.cn aim.com alice.it aliyun.com aol.com aol.co.uk aol.de aol.fr arcor.de att.net bellsouth.net
bigpond.com bk.ru bluewin.ch bol.com.br bt.com btinternet.com centrum.cz charter.net comcast.net cox.net daum.net duck.com
earthlink.net email.cz email.it fastmail.com fastmail.fm foxmail.com free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de
gmx.fr gmx.net googlemail.com hanmail.net hey.com hotmail.co.uk hotmail.com hotmail.com.br hotmail.de hotmail.es hotmail.fr
hotmail.it hushmail.com icloud.com inbox.lv inbox.ru interia.pl juno.com laposte.net libero.it list.ru live.ca live.co.uk
live.com live.com.au live.de live.fr live.it live.nl mac.com mail.com mail.de mail.ee mail.ru mailbox.org mailfence.com
mailinator.com me.com msn.com naver.com neuf.fr nate.com o2.pl online.de onet.pl orange.fr outlook.co.uk outlook.com
outlook.com.br outlook.de outlook.es outlook.fr outlook.it outlook.jp pm.me posteo.de posteo.net proton.me protonmail.ch
protonmail.com qq.com rambler.ru rediffmail.com rocketmail.com rogers.com runbox.com sapo.pt sbcglobal.net seznam.cz sfr.fr
shaw.ca sina.cn sina.com sky.com sohu.com sympatico.ca t-online.de talktalk.net telenet.be tiscali.it tuta.com tutamail.com
tutanota.com tutanota.de ukr.net uol.com.br verizon.net virgilio.it virginmedia.com vk.com walla.co.il wanadoo.fr web.de
windowslive.com wp.pl xs4all.nl xtra.co.nz ya.ru yahoo.ca yahoo.cn yahoo.co.id yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com
yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.hk yahoo.com.mx yahoo.com.sg yahoo.com.tw yahoo.de yahoo.es yahoo.fr yahoo.ie
yahoo.in yahoo.it yandex.by yandex.com yandex.kz yandex.ru yandex.ua yeah.net ymail.com zoho.com zohomail.com zohomail.eu
`
    .trim()
    .split(/\s+/),
);

/** Of a domain in lower case. */
export function isPublicDomain(name: string): boolean {
  return PUBLIC.has(name);
}
