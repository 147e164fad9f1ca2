package main

import (
	"context"
	"errors"

	"greenroom/loadtests/load"
)

// loadtestCmd measures servers under load; the package load says what of them.
type loadtestCmd struct {
	load.Command
}

func (c *loadtestCmd) Run(ctx context.Context, std *streams) error {
	err := c.Execute(ctx, std.out, std.err)
	if senseless := (*load.UsageError)(nil); errors.As(err, &senseless) {
		return misuse("%v", err)
	}
	return err
}
