package redis

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// cluster is a Redis Cluster. It has a table of its own of who owns which slot, beside that of the client, since the link
// asks for an owner under a lock, when nothing may wait for the network. Where the table is wrong the server says so,
// by MOVED; where it is empty, any node will.
type cluster struct {
	client *goredis.ClusterClient
	end    func() // of what is being dialled

	mu     sync.Mutex
	closed bool
	owners [slots]string // addresses of masters, "" unknown
	seeds  []string
	home   int // counts the choices of the node for what has no slot
	nodes  map[string]*goredis.Client
}

func newCluster(o *goredis.ClusterOptions, end func()) *cluster {
	return &cluster{client: goredis.NewClusterClient(o), end: end, seeds: o.Addrs, nodes: make(map[string]*goredis.Client)}
}

// owner is the address of the node for a key, "" when any has to do.
func (c *cluster) owner(key string) string {
	if key == "" {
		return ""
	}
	slot := slotOf(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owners[slot]
}

// moved notes what a server has said about a slot.
func (c *cluster) moved(slot int, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners[slot] = addr
}

func (c *cluster) from(from, addr string) string { return at(addr, c.node(from).Options().Addr) }

// masters lists the owners of slots.
func (c *cluster) masters() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mastersLocked()
}

func (c *cluster) mastersLocked() []string {
	var list []string
	for _, addr := range c.owners {
		if addr != "" && (len(list) == 0 || addr != list[len(list)-1]) && !slices.Contains(list, addr) {
			list = append(list, addr)
		}
	}
	return list
}

// homes lists the nodes that may be asked for whatever has no slot.
func (c *cluster) homes() []string {
	if list := c.mastersLocked(); len(list) > 0 {
		return append(list, c.seeds...)
	}
	return c.seeds
}

// failed notes that addr cannot be reached: what has no slot goes to another node.
func (c *cluster) failed(addr string) {
	if addr == "" {
		c.mu.Lock()
		c.home++
		c.mu.Unlock()
	}
}

// node is a client of one node.
func (c *cluster) node(addr string) *goredis.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if addr == "" {
		list := c.homes()
		addr = list[c.home%len(list)]
	}
	n := c.nodes[addr]
	if n == nil {
		n = goredis.NewClient(c.options(addr))
		if c.closed {
			_ = n.Close()
		}
		c.nodes[addr] = n
	}
	return n
}

// options are the client's, for one node.
func (c *cluster) options(addr string) *goredis.Options {
	o := c.client.Options()
	n := &goredis.Options{
		Addr: addr, Dialer: o.Dialer, OnConnect: o.OnConnect, TLSConfig: o.TLSConfig,
		Username: o.Username, Password: o.Password,
		CredentialsProvider: o.CredentialsProvider, CredentialsProviderContext: o.CredentialsProviderContext,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
	}
	quiet(n, o.ReadTimeout)
	return n
}

func (c *cluster) dial(ctx context.Context, addr string) (net.Conn, error) {
	o := c.node(addr).Options()
	return o.Dialer(ctx, o.Network, o.Addr)
}

func (c *cluster) credentials(ctx context.Context) (user, password string, err error) {
	return credentials(ctx, c.node("").Options())
}

// load asks one node after the other who owns what, until one knows.
func (c *cluster) load(ctx context.Context) (learn func(), err error) {
	c.mu.Lock()
	candidates := slices.Clone(c.homes())
	first := c.home % len(candidates)
	c.mu.Unlock()
	var errs []error
	for i := range candidates {
		addr := candidates[(first+i)%len(candidates)]
		//lint:ignore SA1019 Redis before version 7 has no CLUSTER SHARDS
		list, err := c.node(addr).ClusterSlots(ctx).Result()
		if err == nil && len(list) == 0 {
			err = errors.New("no slot has an owner")
		}
		if err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		return func() { c.learn(addr, list) }, nil
	}
	return nil, errors.Join(errs...)
}

// learn takes a table that the node at addr has given.
func (c *cluster) learn(addr string, list []goredis.ClusterSlot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.owners[:])
	for _, r := range list {
		if len(r.Nodes) == 0 || r.Start < 0 || r.End >= slots {
			continue
		}
		for slot := r.Start; slot <= r.End; slot++ {
			c.owners[slot] = at(r.Nodes[0].Addr, addr)
		}
	}
	// Clients of nodes that have left are closed. The link has been told to use others, or will be.
	keep := c.homes()
	for a, n := range c.nodes {
		if !slices.Contains(keep, a) {
			_ = n.Close()
			delete(c.nodes, a)
		}
	}
}

// at completes an address of a node that does not know its own.
func at(addr, origin string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host != "" && host != "?" {
		return addr
	}
	host, _, _ = net.SplitHostPort(origin)
	return net.JoinHostPort(host, port)
}

// owns reports whether the node has slots.
func (c *cluster) owns(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.owners[:], addr)
}

func (c *cluster) universal() goredis.UniversalClient { return c.client }

// subscribers adds what all masters say: a node knows its own connections only.
func (c *cluster) subscribers(ctx context.Context, sharded bool, channel string) (int, error) {
	masters := c.masters()
	if len(masters) == 0 {
		return 0, errConnecting
	}
	type answer struct {
		n   int
		err error
	}
	answers := make(chan answer, len(masters))
	for _, addr := range masters {
		go func() {
			n, err := subscribersAt(ctx, c.node(addr), sharded, channel)
			answers <- answer{n, err}
		}()
	}
	sum := 0
	var err error
	for range masters {
		a := <-answers
		sum += a.n
		err = errors.Join(err, a.err)
	}
	return sum, err
}

func (c *cluster) close() {
	c.end()
	c.mu.Lock()
	c.closed = true
	for _, n := range c.nodes {
		_ = n.Close()
	}
	c.mu.Unlock()
	_ = c.client.Close()
}

// movedTo reads "MOVED 3999 127.0.0.1:6381", and ASK.
func movedTo(text string) (slot int, addr string, ok bool) {
	words := strings.Fields(text)
	if len(words) != 3 || words[0] != "MOVED" && words[0] != "ASK" {
		return 0, "", false
	}
	slot, err := number([]byte(words[1]))
	if err != nil || slot >= slots {
		return 0, "", false
	}
	return slot, words[2], true
}
