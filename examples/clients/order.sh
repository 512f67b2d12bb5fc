#!/bin/sh
# order.sh - a merchant's program in curl: creates a payment, says where the payer pays, waits until it is settled.
#   sh examples/clients/order.sh ORDER [AMOUNT [SUBJECT]]     amount in minor units: 1234 is 12.34
# TAEL_URL and TAEL_KEY name the engine and the API key; the demo key of `make run` when they are not set.
# Run it again with the same ORDER: it finds the same payment, so nobody is charged twice.
set -eu
url=${TAEL_URL:-http://127.0.0.1:8080}
key=${TAEL_KEY:-$(cat data/demo.key)}
order=${1:?usage: order.sh ORDER [AMOUNT [SUBJECT]]}

# field NAME: the text of the first member of that name in the JSON on stdin
field() { sed -n "s/^.*\"$1\":\"\([^\"]*\)\".*\$/\1/p"; }
api() { # METHOD PATH [BODY]
    printf 'user = "%s:"\n' "$key" | curl -sS --max-time 10 -K - -X "$1" "$url$2" \
        ${3:+-H 'Content-Type: application/json' --data-binary "$3"}
}

payment=$(api POST /v1/payments "{\"merchant_order_id\":\"$order\",\"amount\":${2:-1234},\"currency\":\"CNY\",
    \"subject\":\"${3:-coffee}\",\"channel\":\"alipay\",\"product\":\"page\"}")
id=$(printf %s "$payment" | sed -n 's/^.*"id":"\(pay_[0-9A-Z]*\)".*$/\1/p')
if [ -z "$id" ]; then # a problem: its detail says what to do
    printf '%s\n' "$payment" | field detail >&2
    exit 1
fi
page=$(printf %s "$payment" | field url)
[ -z "$page" ] || echo "pay at $page"
state=$(printf %s "$payment" | field state)
while [ "$state" = created ] || [ "$state" = pending ]; do
    sleep 1
    # no answer means nothing: only a state that was read counts
    read_state=$(api GET "/v1/payments/$id" | field state) || continue
    state=${read_state:-$state}
done
echo "$id $state" # ship only when this says paid
[ "$state" = paid ]
