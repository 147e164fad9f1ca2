package zeromq

import "greenroom/transports/zeromq/internal/addr"

// Endpoints are read, bound and connected to as all of ours do it.
var (
	parseEndpoint = addr.Parse
	bind          = addr.Bind
	endpointOf    = addr.Of
	dial          = addr.Dial
)
