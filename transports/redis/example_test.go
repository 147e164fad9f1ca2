package redis_test

import (
	"fmt"

	"greenroom/transports/redis"
)

// Options that make no sense are told before anything is connected.
func ExampleOptions_Check() {
	fmt.Println(redis.Options{URL: "redis+sentinel://10.0.0.1,10.0.0.2"}.Check())
	fmt.Println(redis.Options{URL: "redis+sentinel://10.0.0.1,10.0.0.2/main"}.Check())
	// Output:
	// redis: the URL does not say which master the Sentinels are asked for: redis+sentinel://host:26379,host2:26379/mymaster
	// <nil>
}
