"""certs.py create DIR NAME [KEY=VALUE...] | certs.py load FILE: with pyzmq's own functions."""
import sys
import zmq.auth

if sys.argv[1] == "create":
    metadata = dict(a.split("=", 1) for a in sys.argv[4:])
    zmq.auth.create_certificates(sys.argv[2], sys.argv[3], metadata)
else:
    public, secret = zmq.auth.load_certificate(sys.argv[2])
    print(public.decode(), secret.decode() if secret else "none")
    if sys.argv[2].endswith(".key_secret"):
        assert zmq.curve_public(secret) == public
