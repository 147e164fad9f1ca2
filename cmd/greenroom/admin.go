package main

import (
	"greenroom/transports/adminui"
	"greenroom/transports/engineio"
)

// adminFlags are those of the Socket.IO Admin UI.
type adminFlags struct {
	On       bool   `name:"admin-ui" help:"Let the Socket.IO Admin UI connect, at the namespace /admin. The origin of its page must be a --cors-origin, unless it is the server's own."`
	User     string `name:"admin-user" placeholder:"NAME" help:"Who may log in to the Admin UI."`
	Hash     string `name:"admin-hash" placeholder:"HASH" help:"The bcrypt hash of the administrator's password, which htpasswd -nBC 12 NAME prints behind the name."`
	Mode     string `name:"admin-mode" default:"development" enum:"development,production" help:"How much the Admin UI shows: ${enum}. In production, numbers only."`
	ReadOnly bool   `name:"admin-readonly" help:"Let the Admin UI look, and do nothing."`
}

func (f *adminFlags) check(listen string) error {
	switch {
	case !f.On && (f.User != "" || f.Hash != "" || f.ReadOnly):
		return misuse("--admin-user, --admin-hash and --admin-readonly are for --admin-ui, which is missing")
	case !f.On:
		return nil
	case listen == off:
		return misuse("--admin-ui is for --listen, which is off")
	case f.User == "" || f.Hash == "":
		return misuse("--admin-ui needs --admin-user and --admin-hash")
	}
	if err := adminui.CheckHash(f.Hash); err != nil {
		return misuse("--admin-hash: %v (a shell leaves its dollars alone between single quotes)", err)
	}
	return nil
}

// serveAdmin lets administrators in.
func (s *server) serveAdmin(f adminFlags) (err error) {
	if !f.On {
		return nil
	}
	s.admin, err = adminui.New(s.hub, adminui.Options{
		Username: f.User, Hash: f.Hash, Mode: adminui.Mode(f.Mode), ReadOnly: f.ReadOnly,
		Engines: []*engineio.Server{s.sockets.Engine()},
	})
	return err
}
