// The Go peer: net/http, crypto/rsa (what the Go libraries for Alipay use underneath), database/sql over
// mattn/go-sqlite3; keys parsed once, one durable commit for each request. Standard library and Debian packages only.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	_ "github.com/mattn/go-sqlite3"
)

var env = os.Getenv

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// ---- signatures ----

func der(name string) []byte {
	raw, err := os.ReadFile(env("KEYS") + "/" + name)
	must(err)
	block, _ := pem.Decode(raw)
	return block.Bytes
}

func readKeys() (*rsa.PrivateKey, *rsa.PublicKey) {
	private, err := x509.ParsePKCS8PrivateKey(der("shop.key"))
	must(err)
	public, err := x509.ParsePKIXPublicKey(der("alipay.pub"))
	must(err)
	return private.(*rsa.PrivateKey), public.(*rsa.PublicKey)
}

// canonical joins the parameters that are not empty, sorted by name, without those that are not signed.
func canonical(values url.Values, skip map[string]bool) string {
	names := make([]string, 0, len(values))
	for name := range values {
		if !skip[name] && values.Get(name) != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var text strings.Builder
	for i, name := range names {
		if i > 0 {
			text.WriteByte('&')
		}
		text.WriteString(name + "=" + values.Get(name))
	}
	return text.String()
}

var unsigned = map[string]bool{"sign": true, "sign_type": true}

func pageURL(order *order, key *rsa.PrivateKey) (string, error) {
	biz, _ := json.Marshal(map[string]string{"out_trade_no": order.MerchantOrderID, "total_amount": yuan(order.Amount),
		"subject": order.Subject, "product_code": "FAST_INSTANT_TRADE_PAY"})
	values := url.Values{"app_id": {env("APP_ID")}, "method": {"alipay.trade.page.pay"}, "format": {"JSON"},
		"charset": {"utf-8"}, "sign_type": {"RSA2"}, "version": {"1.0"},
		"timestamp": {time.Now().Format("2006-01-02 15:04:05")}, "notify_url": {env("NOTIFY_URL")},
		"return_url": {env("RETURN_URL")}, "biz_content": {string(biz)}}
	digest := sha256.Sum256([]byte(canonical(values, nil)))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	values.Set("sign", base64.StdEncoding.EncodeToString(signature))
	return env("GATEWAY") + "?" + values.Encode(), err
}

func isSigned(form url.Values, key *rsa.PublicKey) bool {
	digest := sha256.Sum256([]byte(canonical(form, unsigned)))
	signature, err := base64.StdEncoding.DecodeString(form.Get("sign"))
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil &&
		form.Get("app_id") == env("APP_ID") && form.Get("seller_id") == env("SELLER_ID")
}

// ---- store ----

type store struct{ insert, update, find *sql.Stmt }

func openStore() *store {
	db, err := sql.Open("sqlite3", "file:"+env("DATABASE")+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000&_txlock=immediate")
	must(err)
	db.SetMaxOpenConns(1)
	prepare := func(text string) *sql.Stmt {
		statement, err := db.Prepare(text)
		must(err)
		return statement
	}
	return &store{
		prepare("INSERT INTO orders (merchant_order_id, amount, currency, channel, product, subject, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"),
		prepare("UPDATE orders SET status = 'paid', trade_no = $1, paid_at = $2 WHERE merchant_order_id = $3 AND amount = $4 AND status = 'pending'"),
		prepare("SELECT status, amount, coalesce(trade_no, '') FROM orders WHERE merchant_order_id = $1"),
	}
}

func (s *store) create(o *order) (int64, error) {
	result, err := s.insert.Exec(o.MerchantOrderID, o.Amount, o.Currency, o.Channel, o.Product, o.Subject, time.Now().UnixMilli())
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

func (s *store) pay(orderNo, tradeNo string, amount int64) bool {
	result, err := s.update.Exec(tradeNo, time.Now().UnixMilli(), orderNo, amount)
	if err != nil {
		return false
	}
	if rows, _ := result.RowsAffected(); rows > 0 {
		return true
	}
	var status, trade string
	var was int64
	err = s.find.QueryRow(orderNo).Scan(&status, &was, &trade)
	return err == nil && status == "paid" && was == amount && trade == tradeNo
}

// ---- create and notify ----

type order struct {
	MerchantOrderID string `json:"merchant_order_id"`
	Amount          int64  `json:"amount"`
	Currency        string `json:"currency"`
	Channel         string `json:"channel"`
	Product         string `json:"product"`
	Subject         string `json:"subject"`
}

var orderNo = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func yuan(amount int64) string { return fmt.Sprintf("%d.%02d", amount/100, amount%100) }

func (o *order) isValid() bool {
	return orderNo.MatchString(o.MerchantOrderID) && o.Amount >= 1 && o.Amount <= 10000000000 && o.Currency == "CNY" &&
		o.Channel == "alipay" && o.Product == "page" && o.Subject != "" && len(o.Subject) <= 1024
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func create(s *store, key *rsa.PrivateKey) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var o order
		if json.NewDecoder(r.Body).Decode(&o) != nil || !o.isValid() {
			answer(w, 400, map[string]any{"error": "invalid"})
			return
		}
		id, err := s.create(&o)
		if err != nil {
			answer(w, 409, map[string]any{"error": "duplicate_order"})
			return
		}
		page, err := pageURL(&o, key)
		if err != nil {
			answer(w, 500, map[string]any{"error": "sign"})
			return
		}
		answer(w, 201, map[string]any{"id": id, "merchant_order_id": o.MerchantOrderID, "state": "pending",
			"next_action": map[string]any{"url": page}})
	}
}

func notify(s *store, key *rsa.PublicKey) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		amount, bad := strconv.ParseFloat(form.Get("total_amount"), 64)
		word := "fail"
		if err == nil && bad == nil && isSigned(form, key) &&
			s.pay(form.Get("out_trade_no"), form.Get("trade_no"), int64(math.Round(amount*100))) {
			word = "success"
		}
		io.WriteString(w, word)
	}
}

// ---- route ----

type routed struct {
	Merchant string
	Order    struct {
		Currency string
		Hour     int
	}
	Payer struct {
		Member bool
		Device string
		Risk   int64
	}
	Items  []struct{ Quantity, Price int64 }
	Limits struct{ Daily, Used int64 }
}

var basisPoints = map[string]int64{"intercard": 290, "unionpay": 45, "alipay.wap": 60, "alipay.page": 55, "wechat.native": 60}

func choose(q *routed, amount int64) string {
	switch {
	case q.Order.Currency != "CNY":
		return "intercard"
	case q.Payer.Device == "mobile" && amount >= 100000:
		return "unionpay"
	case q.Payer.Device == "mobile":
		return "alipay.wap"
	case q.Order.Hour < 7:
		return "wechat.native"
	}
	return "alipay.page"
}

func route(w http.ResponseWriter, r *http.Request) {
	var q routed
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		answer(w, 400, map[string]any{"error": "invalid"})
		return
	}
	var amount, pieces int64
	for _, item := range q.Items {
		amount += item.Price * item.Quantity
		pieces += item.Quantity
	}
	way, share, decision := choose(&q, amount), int64(10), "accept"
	if q.Payer.Member {
		share = 9
	}
	fee := amount * basisPoints[way] * share / 100000
	if q.Payer.Risk > 80 || q.Limits.Used+amount > q.Limits.Daily {
		decision = "review"
	}
	answer(w, 200, map[string]any{"summary": fmt.Sprintf("%s:%s:%d:%d:%s", q.Merchant, way, amount, fee, decision),
		"way": way, "fee": fee, "pieces": pieces})
}

func main() {
	runtime.GOMAXPROCS(1)
	private, public := readKeys()
	if env("STORE") == "sqlite" {
		s := openStore()
		http.HandleFunc("/v1/payments", create(s, private))
		http.HandleFunc("/notify/alipay", notify(s, public))
	}
	http.HandleFunc("/r/bench", route)
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	must(http.ListenAndServe("127.0.0.1:"+env("PORT"), nil))
}
