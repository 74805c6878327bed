/**
 * HTML as programs that make mail make it. Written here after the shape of what each produces (named), from no one's mail. `links` are
 * those that a click can follow, decoded, in their order.
 */
export interface Shape {
  html: string;
  links: string[];
}

export const SHAPES: Record<string, Shape> = {
  "a fragment that somebody typed": {
    html: `<p>Hello,</p><p>read <a href="https://example.com/a">this</a>, or <a href="mailto:a@example.com">write</a>.</p>`,
    links: ["https://example.com/a"],
  },
  "a receipt template for transactional mail": {
    html: `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml">
  <head>
    <meta name="viewport" content="width=device-width, initial-scale=1.0" />
    <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
    <title>Receipt for <http://example.com/></title>
    <style type="text/css" rel="stylesheet" media="all">
    @import url("https://fonts.example.com/css?family=Nunito+Sans:400,700&display=swap");
    a { color: #3869D4; } a img { border: none; }
    </style>
    <!--[if mso]>
    <style type="text/css">.f-fallback { font-family: Arial, sans-serif; }</style>
    <![endif]-->
  </head>
  <body>
    <span class="preheader">Thanks &mdash; your receipt</span>
    <table class="email-wrapper" width="100%" cellpadding="0" cellspacing="0" role="presentation">
      <tr><td align="center">
        <a href="https://example.com" class="f-fallback email-masthead_name">[Product]</a>
        <a href="https://example.com/pay?invoice=17&amp;lang=en" class="f-fallback button button--green" target="_blank">Pay&nbsp;now</a>
        <p class="sub">If you have trouble, copy: https://example.com/pay?invoice=17&amp;lang=en</p>
      </td></tr>
    </table>
  </body>
</html>
`,
    links: ["https://example.com", "https://example.com/pay?invoice=17&lang=en"],
  },
  "MJML's output": {
    html: `<!doctype html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office">
<head><title></title><!--[if !mso]><!--><meta http-equiv="X-UA-Compatible" content="IE=edge"><!--<![endif]-->
<!--[if mso]><noscript><xml><o:OfficeDocumentSettings><o:AllowPNG/></o:OfficeDocumentSettings></xml></noscript><![endif]-->
<!--[if !mso]><!--><link href="https://fonts.example.com/css?family=Ubuntu" rel="stylesheet" type="text/css"><!--<![endif]-->
<style>@media only screen and (min-width:480px) { .mj-column-per-100 { width:100% !important; } }</style></head>
<body style="word-spacing:normal;"><div style="">
<!--[if mso | IE]><table align="center" border="0"><tr><td style="line-height:0px;"><![endif]-->
<table align="center"><tbody><tr><td><a
                href="https://example.com/shop"
                style="display:inline-block;" target="_blank"
              ><img alt="" height="auto" src="https://cdn.example.com/x.png" width="550"></a></td></tr></tbody></table>
<!--[if mso | IE]></td></tr></table><![endif]-->
</div></body></html>`,
    links: ["https://example.com/shop"],
  },
  "a button for Outlook, in a comment and beside it": {
    html: `<div><!--[if mso]>
  <v:roundrect xmlns:v="urn:schemas-microsoft-com:vml" href="http://example.com/vml" style="height:40px;" arcsize="10%"><center>Go</center></v:roundrect>
  <![endif]--><![if !mso]><a href="http://example.com/button"
style="background-color:#49a9ce;">Go</a><![endif]></div>`,
    links: ["http://example.com/button"],
  },
  "Word's, as Outlook sends it": {
    html: `<html xmlns:o="urn:schemas-microsoft-com:office:office" xmlns="http://www.w3.org/TR/REC-html40"><head><meta name=Generator content="Microsoft Word 15 (filtered medium)"><!--[if !mso]><style>v\\:* {behavior:url(#default#VML);}</style><![endif]--><style><!--
/* Font Definitions */
p.MsoNormal {margin:0cm; font-size:11.0pt;}
--></style></head><body lang=EN-GB link="#0563C1" vlink="#954F72"><div class=WordSection1><p class=MsoNormal>See <a href="https://example.com/a%20b">here</a><o:p></o:p></p><p class=MsoNormal><o:p>&nbsp;</o:p></p><p><a href=https://example.com/unquoted target=_blank>and</a> <a href='https://example.com/single?q="x"'>there</a></p></div></body></html>`,
    links: ["https://example.com/a%20b", "https://example.com/unquoted", 'https://example.com/single?q="x"'],
  },
  "Gmail's, with a quoted reply": {
    html: `<div dir="ltr">Yes: <a href="https://example.com/x?a=1&amp;b=2#frag" target="_blank">x</a></div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On Wed, Ann &lt;<a href="mailto:ann@example.com">ann@example.com</a>&gt; wrote:<br></div><blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex"><div>https://example.com/old<br></div></blockquote></div>
`,
    links: ["https://example.com/x?a=1&b=2#frag"],
  },
  "a newsletter service's, with merge tags left and its own links": {
    html: `<HTML><BODY BGCOLOR="#FFFFFF"><CENTER><TABLE><TR><TD><A HREF="HTTP://EXAMPLE.COM/UPPER">UPPER</A></TD></TR></TABLE>
<a href="*|ARCHIVE|*">archive</a> <a href="#top">top</a> <a name="top"></a> <a>none</a> <a href="">empty</a> <a href>bare</a>
<a href="tel:+4930123456">call</a> <a href="sms:+49">text</a> <a href="javascript:void(0)">js</a> <a href="/relative">r</a> <a href="//example.com/protocol">p</a>
<a href="http://">nothing</a> <a href="https://exa mple.com">broken</a> <a href="ftp://example.com/f">f</a> <a href="cid:part1">c</a>
</CENTER></BODY></HTML>`,
    links: ["HTTP://EXAMPLE.COM/UPPER"],
  },
  "hrefs that templates wrapped and indented": {
    html: `<a class="x"
   href = "
      https://example.com/wrapped
   ">a</a><a href="https://example.com/in&#10;the&Tab;middle">b</a><a href="&#104;ttps://example.com/&eacute;&lt;">c</a>`,
    links: ["https://example.com/wrapped", "https://example.com/inthemiddle", "https://example.com/é<"],
  },
  "entities that are none": {
    html: `<a href="https://example.com/?a=1&copy=2&b=3&amp=4&lang=de&notit;=5&">x</a> &copy 2026 & co`,
    links: ["https://example.com/?a=1&copy=2&b=3&amp=4&lang=de&notit;=5&"],
  },
  "what is no link though it looks like one": {
    html: `<script>var a = '<a href="https://example.com/script">';</script><style>/* <a href="https://example.com/style"> */</style>
<textarea><a href="https://example.com/textarea">x</a></textarea><!-- <a href="https://example.com/comment">x</a> -->
<abbr href="https://example.com/abbr">x</abbr><img alt='<a href="https://example.com/alt">' src="https://example.com/i.png"><area href="https://example.com/area">
<p title="<a href='https://example.com/title'>">x</p><a data-href="https://example.com/data" hreflang="https://example.com/lang">y</a>`,
    links: [],
  },
  "an anchor with more than one href, and attributes without spaces": {
    html: `<a href="https://example.com/first"href="https://example.com/second"class=x>1</a><a/href=https://example.com/slash/>2</a><a class="b" id=c href='https://example.com/third'>3</a>`,
    links: ["https://example.com/first", "https://example.com/slash/", "https://example.com/third"],
  },
  "other scripts and right to left": {
    html: `<html dir="rtl" lang="ar"><body><p>مرحبا <a href="https://example.com/عربي">اضغط</a></p><p>您好 <a href="https://例え.jp/注文">注文</a> 🎉</p></body></html>`,
    links: ["https://example.com/عربي", "https://例え.jp/注文"],
  },
  "a page that was cut off": {
    html: `<html><body><p>Hello <a href="https://example.com/whole">x</a> <a href="https://example.com/cut`,
    links: ["https://example.com/whole"],
  },
  nothing: { html: "", links: [] },
};
