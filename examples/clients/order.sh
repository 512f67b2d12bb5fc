#!/bin/sh
# order.sh - a merchant's program in curl: creates a payment, says where the payer pays, waits until it is settled.
#   sh examples/clients/order.sh ORDER [AMOUNT [SUBJECT]]     amount in minor units: 1234 is 12.34
# TAEL_URL and TAEL_KEY name the engine and the API key; the demo key of `make run` when they are not set.
# Run it again with the same ORDER: it finds the same payment, so nobody is charged twice.
set -eu
order=${1:?usage: order.sh ORDER [AMOUNT [SUBJECT]]}
url=${TAEL_URL:-http://127.0.0.1:8080}
key=${TAEL_KEY:-$(cat data/demo.key)}

# quoted TEXT: as it stands in a JSON text
quoted() { printf %s "$1" | sed 's/[\\"]/\\&/g'; }
# field NAME: the text of the first member of that name in the JSON on stdin
field() { sed -n "s/^.*\"$1\":\"\([^\"]*\)\".*\$/\1/p"; }
api() { # METHOD PATH [BODY]
    printf 'user = "%s:"\n' "$key" | curl -sS --max-time 10 -K - -X "$1" "$url$2" \
        ${3:+-H 'Content-Type: application/json' --data-binary "$3"}
}

# told ANSWER: a problem's detail says what to do; a proxy answers in words of its own
told() {
    detail=$(printf '%s\n' "$1" | field detail)
    printf '%s\n' "${detail:-no answer of Tael: $1}" >&2
}

payment=$(api POST /v1/payments "{\"merchant_order_id\":\"$(quoted "$order")\",\"amount\":${2:-1234},\"currency\":\"CNY\",
    \"subject\":\"$(quoted "${3:-coffee}")\",\"channel\":\"alipay\",\"product\":\"page\"}")
id=$(printf %s "$payment" | sed -n 's/^.*"id":"\(pay_[0-9A-Z]*\)".*$/\1/p')
if [ -z "$id" ]; then
    told "$payment"
    exit 1
fi
page=$(printf %s "$payment" | field url)
[ -z "$page" ] || echo "pay at $page"
state=$(printf %s "$payment" | field state)
while [ "$state" = created ] || [ "$state" = pending ]; do
    sleep 1
    # no answer means nothing: only a state that was read counts
    payment=$(api GET "/v1/payments/$id") || continue
    read_state=$(printf %s "$payment" | field state)
    [ -n "$read_state" ] || told "$payment"
    state=${read_state:-$state}
done
echo "$id $state" # ship only when this says paid
[ "$state" = paid ]
