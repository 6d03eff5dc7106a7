"""Python's smtplib as caller.

smtp_call.py HOST PORT      prints what it saw as JSON
"""

import email.message
import json
import smtplib
import sys

with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=20) as server:
    saw = {"ehlo": server.ehlo()[0]}
    mail = email.message.EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", "a megabyte"
    mail.set_content(".a line that begins with a dot\n" * 34_000)
    saw["refused"] = server.send_message(mail)
    saw["unknown"] = server.docmd("NONSENSE")[0]
    saw["early"] = server.docmd("RCPT", "TO:<b@example.org>")[0]
    server.rset()
    mail.replace_header("Subject", "short")
    mail.set_content("short\n")
    server.send_message(mail)
print(json.dumps(saw))
