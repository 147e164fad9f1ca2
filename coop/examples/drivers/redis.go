package drivers

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"

	"greenroom/coop"
)

// Redis asks a Redis server through go-redis, whose pool looks after its connections on goroutines of its own: so the
// calls go to goroutines too. A call that was given up ends with its answer or the client's ReadTimeout, not
// before.
type Redis struct {
	client *redis.Client
	calls  Limit
}

// NewRedis prepares a pool of connections to an address.
func NewRedis(addr string, conns int) *Redis {
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: conns})
	return &Redis{client, NewLimit(conns)}
}

func squareKey(n int) string { return "square:" + strconv.Itoa(n) }

// Fill sets all keys in one round trip.
func (r *Redis) Fill(g *coop.Greenlet, n int) error {
	_, err := Do(g, r.calls, func(ctx context.Context) ([]redis.Cmder, error) {
		return r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range n {
				p.Set(ctx, squareKey(i), i*i, 0)
			}
			return nil
		})
	})
	return err
}

// Square gets one key.
func (r *Redis) Square(g *coop.Greenlet, n int) (int, error) {
	return Do(g, r.calls, func(ctx context.Context) (int, error) { return r.square(ctx, n) })
}

func (r *Redis) square(ctx context.Context, n int) (int, error) {
	return r.client.Get(ctx, squareKey(n)).Int()
}

// Close closes the pool.
func (r *Redis) Close() error { return r.client.Close() }
