package main

import (
	"fmt"

	"greenroom/transports/zeromq"
)

type keysCmd struct {
	Dir     string `default:"." placeholder:"DIR" help:"Where to write the two files."`
	User    string `help:"Whom the key lets in, as publications show it. Default NAME."`
	Publish string `placeholder:"ROOMS" help:"Rooms that it may publish into: 'prices.*,news'."`
	Read    string `placeholder:"ROOMS" help:"Rooms that it may hear. Without --publish, --read and --control it may publish into and hear all."`
	Control bool   `help:"It may use the control endpoint and be a worker."`
	Name    string `arg:"" help:"Name of the key: the files are NAME.key and NAME.key_secret."`
}

// Run makes a key pair for CURVE.
func (c *keysCmd) Run(std *streams) error {
	metadata := map[string]string{}
	for k, v := range map[string]string{"user": c.User, "publish": c.Publish, "read": c.Read} {
		if v != "" {
			metadata[k] = v
		}
	}
	if c.Control {
		metadata["control"] = "true"
	}
	for flag, list := range map[string]string{"--publish": c.Publish, "--read": c.Read} {
		if _, err := zeromq.ParsePatterns(list); err != nil {
			return misuse("%s: %v", flag, err)
		}
	}
	key, err := zeromq.NewSecretKey()
	if err != nil {
		return err
	}
	public, secret, err := zeromq.WriteCertificates(c.Dir, c.Name, key, metadata)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s  to give away, and for a server's --zmq-allow directory\n%s  to keep\n", public, secret)
	return err
}
