package redis

import (
	"context"
	"net"

	goredis "github.com/redis/go-redis/v9"
)

// topology is where the servers are. Nodes are named by their addresses, "" is the one for whatever has no place of its
// own.
type topology interface {
	// dial connects to a node, with TLS where that is wanted.
	dial(ctx context.Context, addr string) (net.Conn, error)
	// credentials are for that connection.
	credentials(ctx context.Context) (user, password string, err error)
	// node is a client of a node.
	node(addr string) *goredis.Client
	universal() goredis.UniversalClient
	subscribers(ctx context.Context, sharded bool, channel string) (int, error)
	close()
}

// single is one server: by itself, or the one that Sentinels name.
type single struct{ client *goredis.Client }

func (s single) dial(ctx context.Context, _ string) (net.Conn, error) {
	o := s.client.Options()
	return o.Dialer(ctx, o.Network, o.Addr)
}

func (s single) credentials(ctx context.Context) (user, password string, err error) {
	return credentials(ctx, s.client.Options())
}

func credentials(ctx context.Context, o *goredis.Options) (user, password string, err error) {
	switch {
	case o.CredentialsProviderContext != nil:
		return o.CredentialsProviderContext(ctx)
	case o.CredentialsProvider != nil:
		user, password = o.CredentialsProvider()
		return user, password, nil
	}
	return o.Username, o.Password, nil
}

func (s single) node(string) *goredis.Client        { return s.client }
func (s single) universal() goredis.UniversalClient { return s.client }
func (s single) close()                             { _ = s.client.Close() }

func (s single) subscribers(ctx context.Context, sharded bool, channel string) (int, error) {
	return subscribersAt(ctx, s.client, sharded, channel)
}

func subscribersAt(ctx context.Context, c *goredis.Client, sharded bool, channel string) (int, error) {
	ask := c.PubSubNumSub
	if sharded {
		ask = c.PubSubShardNumSub
	}
	m, err := ask(ctx, channel).Result()
	return int(m[channel]), err
}
