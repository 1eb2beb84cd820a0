package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// shop is a made-up shop whose customers click, order and pay. What happens in it depends on its seed alone,
// and the times on when it was opened.
type shop struct {
	rand   *rand.Rand
	clock  time.Time // of the next event
	orders int       // how many were made
	open   []order   // made and not paid yet
}

// order is what lies in the topic orders.
type order struct {
	ID       string  `json:"order_id"`
	Customer string  `json:"customer_id"`
	Items    []item  `json:"items"`
	Total    float64 `json:"total"`
	Currency string  `json:"currency"`
	At       string  `json:"at"`
}

// item is a line of an order.
type item struct {
	SKU   string  `json:"sku"`
	Count int     `json:"count"`
	Price float64 `json:"price"`
}

// payment is what lies in the topic payments.
type payment struct {
	Order  string  `json:"order_id"`
	Amount float64 `json:"amount"`
	Method string  `json:"method"`
	Status string  `json:"status"`
	At     string  `json:"at"`
}

// click is what lies in the topic clicks.
type click struct {
	Session  string `json:"session_id"`
	Customer string `json:"customer_id,omitempty"`
	Page     string `json:"page"`
	Referrer string `json:"referrer"`
	At       string `json:"at"`
}

// customer is what lies in the topic customers, the last word on each by key.
type customer struct {
	ID      string `json:"customer_id"`
	Name    string `json:"name"`
	Country string `json:"country"`
	Since   string `json:"since"`
}

// stock is what lies in the topic inventory, the last word on each SKU by key.
type stock struct {
	SKU  string `json:"sku"`
	Name string `json:"name"`
	Left int    `json:"left"`
}

// The topics of the shop.
const (
	topicOrders    = "orders"
	topicPayments  = "payments"
	topicClicks    = "clicks"
	topicCustomers = "customers"
	topicInventory = "inventory"
)

// The size of the shop.
const (
	customers = 40
	products  = 24
)

// newShop opens a shop whose past begins at opened.
func newShop(seed uint64, opened time.Time) *shop {
	return &shop{rand: rand.New(rand.NewPCG(seed, 0x5b0b)), clock: opened}
}

// pick is one of words.
func (s *shop) pick(words ...string) string { return words[s.rand.IntN(len(words))] }

// furnish are the customers and the goods that are there from the beginning.
func (s *shop) furnish() (records []*kgo.Record) {
	for i := range customers {
		c := customer{
			ID: customerID(i), Name: s.pick("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gita", "Hugo", "Ines", "Jan", "Kim", "Lena") + " " + s.pick("Adler", "Berg", "Costa", "Dahl", "Egger", "Fuchs", "Gruber", "Hahn"),
			Country: s.pick("AT", "CZ", "DE", "FR", "IT", "SE"), Since: s.at(),
		}
		records = append(records, s.record(topicCustomers, c.ID, c))
	}
	for i := range products {
		g := stock{sku(i), s.pick("red", "green", "blue", "grey") + " " + s.pick("lamp", "chair", "kettle", "blanket", "clock", "mug"), 50 + s.rand.IntN(200)}
		records = append(records, s.record(topicInventory, g.SKU, g))
	}
	return records
}

// next is what happens next: mostly clicks, at times an order, a payment or a delivery of goods.
func (s *shop) next() *kgo.Record {
	s.clock = s.clock.Add(time.Duration(5+s.rand.IntN(90)) * time.Millisecond)
	switch n := s.rand.IntN(100); {
	case n < 60:
		return s.click()
	case n < 80:
		return s.order()
	case n < 96 && len(s.open) > 0:
		return s.pay()
	default:
		i := s.rand.IntN(products)
		return s.record(topicInventory, sku(i), stock{sku(i), "", s.rand.IntN(250)})
	}
}

func (s *shop) click() *kgo.Record {
	c := click{Session: fmt.Sprintf("s-%04d", s.rand.IntN(400)), Page: "/" + s.pick("", "cart", "search", "product/"+sku(s.rand.IntN(products)), "checkout"), Referrer: s.pick("", "search", "newsletter", "friend"), At: s.at()}
	if s.rand.IntN(3) > 0 {
		c.Customer = customerID(s.rand.IntN(customers))
	}
	return s.record(topicClicks, c.Session, c)
}

func (s *shop) order() *kgo.Record {
	s.orders++
	o := order{ID: fmt.Sprintf("o-%06d", s.orders), Customer: customerID(s.rand.IntN(customers)), Currency: "EUR", At: s.at()}
	for range 1 + s.rand.IntN(3) {
		it := item{sku(s.rand.IntN(products)), 1 + s.rand.IntN(4), float64(199+100*s.rand.IntN(90)) / 100}
		o.Items = append(o.Items, it)
		o.Total += float64(it.Count) * it.Price
	}
	o.Total = float64(int(o.Total*100+0.5)) / 100
	if len(s.open) < 100 {
		s.open = append(s.open, o)
	}
	r := s.record(topicOrders, o.Customer, o)
	r.Headers = []kgo.RecordHeader{{Key: "source", Value: []byte(s.pick("web", "app", "phone"))}}
	return r
}

// pay pays one order, or fails to: now and then a card is refused.
func (s *shop) pay() *kgo.Record {
	i := s.rand.IntN(len(s.open))
	o := s.open[i]
	p := payment{Order: o.ID, Amount: o.Total, Method: s.pick("card", "transfer", "invoice"), Status: "ok", At: s.at()}
	if s.rand.IntN(12) == 0 {
		p.Status = "refused"
	} else {
		s.open = append(s.open[:i], s.open[i+1:]...)
	}
	return s.record(topicPayments, o.ID, p)
}

func customerID(i int) string { return fmt.Sprintf("c-%03d", i) }

func sku(i int) string { return fmt.Sprintf("sku-%03d", i) }

// at is the shop's time as text.
func (s *shop) at() string { return s.clock.UTC().Format("2006-01-02T15:04:05.000Z") }

// record makes a record of the shop's time.
func (s *shop) record(topic, key string, value any) *kgo.Record {
	b, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("demo: %T does not become JSON: %v", value, err))
	}
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: b, Timestamp: s.clock}
}
