# Postmark's Ruby gem against the local system: sends, reads back, and walks what an account has. Prints what it saw as JSON.
require "json"
require "postmark"

options = { host: ENV.fetch("HOST"), port: ENV.fetch("PORT").to_i, secure: false, http_read_timeout: 30 }
client = Postmark::ApiClient.new(ENV.fetch("SERVER_TOKEN"), **options)
account = Postmark::AccountApiClient.new(ENV.fetch("ACCOUNT_TOKEN"), **options)
from = ENV.fetch("FROM")
seen = {}

sent = client.deliver(from: from, to: "ruby@customer.test", subject: "From Ruby", text_body: "Hello from a gem",
                      tag: "ruby", metadata: { order: "17" })
seen[:sent] = sent
seen[:read] = client.get_message(sent[:message_id])
seen[:batch] = client.deliver_in_batches((1..3).map { |n|
  { from: from, to: "ruby#{n}@customer.test", subject: "Batch #{n}", text_body: "b" }
})
begin
  client.deliver(from: from, to: "ruby@customer.test", subject: "no body")
rescue Postmark::ApiInputError => e
  seen[:refused] = { class: e.class.name, code: e.error_code }
end
client.create_suppressions("outbound", ["gone@customer.test"])
begin
  client.deliver(from: from, to: "gone@customer.test", subject: "x", text_body: "x")
rescue Postmark::InactiveRecipientError => e
  # This version of the gem looks for the addresses on a line of their own, which newer clients do not.
  seen[:inactive] = e.message
end
template = client.create_template(name: "Ruby", subject: "Hi {{name}}", text_body: "Dear {{name}}")
seen[:templated] = client.deliver_with_template(from: from, to: "ruby-template@customer.test",
                                                template_id: template[:template_id], template_model: { name: "Ruby" })
seen[:listed] = client.messages(tag: "ruby").map { |m| m[:subject] }
seen[:streams] = client.message_streams.map { |s| s[:id] }.sort
seen[:overview] = client.get_stats_totals.keys.size
domain = account.create_domain(name: "ruby-#{rand(1 << 32)}-gem-integration.test")
seen[:spf] = account.verified_domain_spf?(domain[:id])
seen[:rotate] = begin
  account.rotate_domain_dkim(domain[:id])
rescue Postmark::ApiInputError => e
  e.message
end
server = account.create_server(name: "Ruby #{rand(1 << 32)}")
seen[:servers] = account.servers.map { |s| s[:id] }.include?(server[:id])
seen[:deleted] = account.delete_server(server[:id])
puts JSON.generate(seen)
