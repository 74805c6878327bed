"""Submits the message on standard input with Python's own smtplib, and prints the dialog.

Arguments: starttls or implicit, port, file of the authority, token, reverse-path, recipient.
"""
import smtplib
import ssl
import sys

mode, port, authority, token, sender, recipient = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
if mode == "implicit":
    client = smtplib.SMTP_SSL("127.0.0.1", int(port), timeout=30, context=context)
else:
    client = smtplib.SMTP("127.0.0.1", int(port), timeout=30)
client.set_debuglevel(1)
if mode == "starttls":
    client.starttls(context=context)
client.login(token, token)
refused = client.sendmail(sender, [recipient], sys.stdin.buffer.read(), ["BODY=8BITMIME"])
client.quit()
sys.exit(1 if refused else 0)
