package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"

	"greenroom/hub"
)

// entryVersion begins each entry of a history.
const entryVersion = 1

// maxEntryAttachments is no less than what a publication may have.
const maxEntryAttachments = 64

// appendEntry encodes a publication: a version, then each with its length in front its id, its JSON and its binary values.
func appendEntry(dst []byte, id string, p hub.Payload) []byte {
	n := 16 + len(id) + len(p.JSON)
	for _, a := range p.Attachments {
		n += 8 + len(a)
	}
	if dst == nil {
		dst = make([]byte, 0, n)
	}
	dst = append(dst, entryVersion)
	dst = append(binary.AppendUvarint(dst, uint64(len(id))), id...)
	dst = append(binary.AppendUvarint(dst, uint64(len(p.JSON))), p.JSON...)
	for _, a := range p.Attachments {
		dst = append(binary.AppendUvarint(dst, uint64(len(a))), a...)
	}
	return dst
}

// readEntry is its inverse. An empty entry stands for what could not be kept.
func readEntry(text string) (k hub.KeptPublication, err error) {
	if text == "" {
		return k, nil
	}
	src := []byte(text)
	if src[0] != entryVersion {
		return k, errMalformed
	}
	src = src[1:]
	next := func() []byte {
		n, size := binary.Uvarint(src)
		if size <= 0 || n > uint64(len(src)-size) {
			err = errMalformed
			return nil
		}
		part := src[size : size+int(n) : size+int(n)]
		src = src[size+int(n):]
		return part
	}
	k.ID = string(next())
	if err == nil {
		k.Payload.JSON = next()
	}
	for err == nil && len(src) > 0 {
		if len(k.Payload.Attachments) == maxEntryAttachments {
			return k, errMalformed
		}
		k.Payload.Attachments = append(k.Payload.Attachments, next())
	}
	if err == nil && (k.ID == "" || len(k.Payload.JSON) < 2 || k.Payload.JSON[0] != '[' || !json.Valid(k.Payload.JSON)) {
		err = errMalformed
	}
	return k, err
}

// memberOf is how a member stands in the sorted set of who is there: so that the order of bytes is that of names.
func memberOf(who *hub.Sender, run string) string {
	return clean(who.Name) + "\x00" + clean(who.ID) + "\x00" + clean(who.User) + "\x00" + run
}

// clean leaves out what separates the parts.
func clean(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "")
}

// readMember is its inverse.
func readMember(text string) (who hub.Sender, run string, err error) {
	if len(text) > 4<<10 {
		return who, "", errMalformed
	}
	parts := strings.SplitN(strings.ToValidUTF8(text, "\uFFFD"), "\x00", 5)
	if len(parts) != 4 || parts[1] == "" || parts[3] == "" {
		return who, "", errMalformed
	}
	return hub.Sender{Name: parts[0], ID: parts[1], User: parts[2]}, parts[3], nil
}

// nodeOf is the name of the node whose run it is.
func nodeOf(run string) string {
	if i := strings.LastIndexByte(run, '~'); i >= 0 {
		return run[:i]
	}
	return run
}

// digest is short, whatever a publisher calls its publication.
func digest(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}
