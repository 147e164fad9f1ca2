package hub_test

import (
	"testing"

	"greenroom/hub"
	"greenroom/hub/adaptertest"
)

func TestClusterKeepsTheContract(t *testing.T) {
	adaptertest.Run(t, func(*testing.T) adaptertest.Cluster {
		c := new(hub.Cluster)
		return adaptertest.Cluster{Adapter: c.Adapter}
	})
}
