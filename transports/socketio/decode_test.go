package socketio

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"greenroom/hub"
)

// stricter are the vectors that socket.io-parser takes and this decoder refuses, and with what: forms
// that no client writes and that JavaScript's conversions let through.
var stricter = map[string]*Error{
	"":         errEmptyPacket,
	"2":        errInvalidPayload,
	"2/n,":     errInvalidPayload,
	`2/n["a"]`: errInvalidPayload,
	`2 1["a"]`: errInvalidPayload,
	`51e0-["a",{"_placeholder":true,"num":0}]`: errAttachments,
	`5 1-["a",{"_placeholder":true,"num":0}]`:  errAttachments,
	`5+1-["a",{"_placeholder":true,"num":0}]`:  errAttachments,
	`50x1-["a",{"_placeholder":true,"num":0}]`: errAttachments,
	`51-["a",{"_placeholder":true,"num":0.5}]`: errAttachments,
}

func TestDecodesLikeTheOfficialParser(t *testing.T) {
	used := 0
	for _, v := range loadVectors(t).Decode {
		t.Run(v.Text, func(t *testing.T) {
			p, err := Decode([]byte(v.Text))
			if want := stricter[v.Text]; want != nil {
				used++
				if err != want {
					t.Errorf("got error %v, want %v", err, want)
				}
				return
			}
			if v.Error != "" {
				var e *Error
				if !errors.As(err, &e) || !strings.HasPrefix(strings.ToLower(v.Error), e.Text) && !strings.HasPrefix(e.Text, v.Error) {
					t.Errorf("got error %v, want %q", err, v.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v.Pending {
				if p.Attachments == 0 {
					t.Error("waits for no attachments")
				}
				return
			}
			checkVector(t, p, v.Packet, v.Attachments)
		})
	}
	if used != len(stricter) {
		t.Errorf("%d of %d stricter cases are among the vectors", used, len(stricter))
	}
}

// checkVector compares a decoded packet with what the official parser made of it.
func checkVector(t *testing.T, p Packet, want *vectorPacket, attachments []string) {
	t.Helper()
	kind := p.Type
	switch kind { // the official decoder drops the difference
	case BinaryEvent:
		kind = Event
	case BinaryAck:
		kind = Ack
	}
	if int(kind-'0') != want.Type || string(p.Namespace) != want.Nsp || p.ID != want.id() || p.Attachments != len(attachments) {
		t.Fatalf("got type %c, namespace %s, id %d, %d attachments; want %+v", p.Type, p.Namespace, p.ID, p.Attachments, want)
	}
	if (p.JSON == nil) != (want.Data == nil) {
		t.Fatalf("JSON is %s, want %s", p.JSON, want.Data)
	}
	if p.JSON == nil {
		return
	}
	payload := hub.Payload{JSON: p.JSON}
	for _, a := range attachments {
		payload.Attachments = append(payload.Attachments, unhex(t, a))
	}
	var got any
	if err := payload.Decode(p.JSON, &got); err != nil {
		t.Fatal(err)
	}
	if want := value(t, want.Data); !reflect.DeepEqual(got, want) {
		t.Errorf("got data %v, want %v", got, want)
	}
}

// deep is n arrays, one in the other.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// malformed are packets that end a connection, without Engine.IO's "4" in front.
var malformed = map[string]struct {
	text string
	err  *Error
}{
	"nothing":                         {"", errEmptyPacket},
	"a letter for the type":           {"abc", errUnknownType},
	"a type too high":                 {`7["x"]`, errUnknownType},
	"a type far too high":             {`9`, errUnknownType},
	"NUL for the type":                {"\x00", errUnknownType},
	"a space in front":                {` 2["x"]`, errUnknownType},
	"CONNECT with an array":           {`0[1]`, errInvalidPayload},
	"CONNECT with a string":           {`0"abc"`, errInvalidPayload},
	"CONNECT with null":               {`0null`, errInvalidPayload},
	"CONNECT with half an object":     {`0{"a":`, errInvalidPayload},
	"CONNECT with two objects":        {`0{}{}`, errInvalidPayload},
	"CONNECT with a long id":          {`01234567890123456`, errInvalidPayload},
	"DISCONNECT with an object":       {`1{}`, errInvalidPayload},
	"DISCONNECT with an array":        {`1["x"]`, errInvalidPayload},
	"EVENT without JSON":              {`2`, errInvalidPayload},
	"EVENT with an id alone":          {`25`, errInvalidPayload},
	"EVENT with an object":            {`2{}`, errInvalidPayload},
	"EVENT with a string":             {`2"x"`, errInvalidPayload},
	"EVENT with null":                 {`2null`, errInvalidPayload},
	"EVENT without a name":            {`2[]`, errInvalidPayload},
	"EVENT named null":                {`2[null]`, errInvalidPayload},
	"EVENT named true":                {`2[true]`, errInvalidPayload},
	"EVENT named by an object":        {`2[{"toString":"foo"}]`, errInvalidPayload},
	"EVENT named by an array":         {`2[["x"]]`, errInvalidPayload},
	"EVENT with a long name":          {`2["` + strings.Repeat("n", maxEventName-1) + `"]`, errInvalidPayload},
	"EVENT named by a long number":    {`2[1` + strings.Repeat("0", maxEventName) + `]`, errInvalidPayload},
	"EVENT connect":                   {`2["connect"]`, errReserved},
	"EVENT connect_error":             {`2["connect_error",1]`, errReserved},
	"EVENT disconnect":                {`2["disconnect"]`, errReserved},
	"EVENT disconnecting":             {`2["disconnecting"]`, errReserved},
	"EVENT newListener":               {`2["newListener"]`, errReserved},
	"EVENT removeListener":            {`2["removeListener"]`, errReserved},
	"EVENT disconnect in escapes":     {`2["\u0064isconnect"]`, errReserved},
	"EVENT with letters for an id":    {`2abc["x"]`, errInvalidPayload},
	"EVENT with a fraction for an id": {`21.5["x"]`, errInvalidPayload},
	"EVENT with a negative id":        {`2-1["x"]`, errInvalidPayload},
	"EVENT with an id of 16 digits":   {`21234567890123456["x"]`, errInvalidPayload},
	"EVENT with an open array":        {`2["x"`, errInvalidPayload},
	"EVENT with a bracket too many":   {`2["x"]]`, errInvalidPayload},
	"EVENT with a comma too many":     {`2["x",]`, errInvalidPayload},
	"EVENT with an open string":       {`2["x`, errInvalidPayload},
	"EVENT with a raw newline":        {"2[\"x\n\"]", errInvalidPayload},
	"EVENT with a bad escape":         {`2["\x"]`, errInvalidPayload},
	"EVENT with half a \\u":           {`2["\u12"]`, errInvalidPayload},
	"EVENT with a leading zero":       {`2["x",01]`, errInvalidPayload},
	"EVENT with NaN":                  {`2["x",NaN]`, errInvalidPayload},
	"EVENT with a byte order mark":    {"2\ufeff[\"x\"]", errInvalidPayload},
	"EVENT nested too deep":           {`2["x",` + deep(maxDepth) + `]`, errTooDeep},
	"EVENT nested 100 000 deep":       {`2["x",` + deep(100_000) + `]`, errTooDeep},
	"objects nested too deep":         {`2["x",` + strings.Repeat(`{"a":`, maxDepth) + "1" + strings.Repeat("}", maxDepth) + `]`, errTooDeep},
	"a namespace without a comma":     {`2/custom["x"]`, errInvalidPayload},
	"a namespace too long":            {"0/" + strings.Repeat("n", maxNamespace), errNamespaceName},
	"a namespace with a control":      {"0/a\x1eb,", errNamespaceName},
	"ACK with an object":              {`3{}`, errInvalidPayload},
	"ACK with half an array":          {`31["x"`, errInvalidPayload},
	"ACK with a string":               {`31"x"`, errInvalidPayload},
	"CONNECT_ERROR with an array":     {`4[1]`, errInvalidPayload},
	"CONNECT_ERROR with a number":     {`41.5`, errInvalidPayload},
	"BINARY_EVENT without a count":    {`5["x"]`, errAttachments},
	"BINARY_EVENT of nothing":         {`5`, errAttachments},
	"BINARY_EVENT with no number":     {`5-["x"]`, errAttachments},
	"BINARY_EVENT with no dash":       {`51["x"]`, errAttachments},
	"BINARY_EVENT with count 0":       {`50-["x"]`, errAttachments},
	"BINARY_EVENT with count 00":      {`500-["x"]`, errAttachments},
	"BINARY_EVENT with a fraction":    {`51.5-["x"]`, errAttachments},
	"BINARY_EVENT with count -1":      {`5-1-["x"]`, errAttachments},
	"BINARY_EVENT with 11":            {`511-["x"]`, errTooMany},
	"BINARY_EVENT with 45999999":      {`545999999-["x"]`, errTooMany},
	"BINARY_EVENT with 11 digits":     {`599999999999-["x"]`, errAttachments},
	"BINARY_EVENT without JSON":       {`51-`, errInvalidPayload},
	"BINARY_EVENT named by a buffer":  {`51-[{"_placeholder":true,"num":0}]`, errInvalidPayload},
	"BINARY_EVENT reserved":           {`51-["connect",{"_placeholder":true,"num":0}]`, errReserved},
	"BINARY_ACK without JSON":         {`61-5`, errInvalidPayload},
	"BINARY_ACK without a count":      {`65[1]`, errAttachments},
	"a placeholder at the count":      {`51-["x",{"_placeholder":true,"num":1}]`, errAttachments},
	"a placeholder at 99":             {`51-["x",{"_placeholder":true,"num":99}]`, errAttachments},
	"a placeholder at -1":             {`51-["x",{"_placeholder":true,"num":-1}]`, errAttachments},
	"a placeholder at 0.5":            {`51-["x",{"_placeholder":true,"num":0.5}]`, errAttachments},
	"a placeholder at null":           {`51-["x",{"_placeholder":true,"num":null}]`, errAttachments},
	"a placeholder at splice":         {`51-["x",{"_placeholder":true,"num":"splice"}]`, errAttachments},
	"a placeholder at \"0\"":          {`51-["x",{"_placeholder":true,"num":"0"}]`, errAttachments},
	"a placeholder without num":       {`51-["x",{"_placeholder":true}]`, errAttachments},
	"a nested placeholder":            {`51-["x",[{"a":[{"num":3,"_placeholder":true}]}]]`, errAttachments},
	"a placeholder in escapes":        {`51-["x",{"\u005fplaceholder":true,"n\u0075m":7}]`, errAttachments},
	"of two nums the last counts":     {`51-["x",{"_placeholder":true,"num":0,"num":1}]`, errAttachments},
	"a placeholder of a billion":      {`51-["x",{"_placeholder":true,"num":1000000000}]`, errAttachments},
}

func TestMalformedPackets(t *testing.T) {
	for name, c := range malformed {
		t.Run(name, func(t *testing.T) {
			if p, err := Decode([]byte(c.text)); err != c.err {
				t.Errorf("got %v and error %v, want %v", p, err, c.err)
			}
		})
	}
}

func TestUnusualPacketsThatAreFine(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Packet
	}{
		"an empty ACK":                  {`3`, Packet{Type: Ack, Namespace: rootNamespace, ID: hub.NoAck}},
		"an ACK with an id alone":       {`312`, Packet{Type: Ack, Namespace: rootNamespace, ID: 12}},
		"leading zeros":                 {`2007["x"]`, Packet{Type: Event, Namespace: rootNamespace, ID: 7, JSON: []byte(`["x"]`), Event: "x"}},
		"an id of 15 digits":            {`2999999999999999["x"]`, Packet{Type: Event, Namespace: rootNamespace, ID: 999999999999999, JSON: []byte(`["x"]`), Event: "x"}},
		"a number for a name":           {`2[7,"x"]`, Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`[7,"x"]`), Event: "7"}},
		"an empty name":                 {`2[""]`, Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`[""]`)}},
		"the name error":                {`2["error"]`, Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["error"]`), Event: "error"}},
		"the name __proto__":            {`2["__proto__"]`, Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["__proto__"]`), Event: "__proto__"}},
		"a name in escapes":             {`2["\u0061"]`, Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["\u0061"]`), Event: "a"}},
		"white space":                   {"2 [ \"x\" ,\t1 ]\r\n", Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(" [ \"x\" ,\t1 ]\r\n"), Event: "x"}},
		"a namespace with a query":      {`0/a?b=1`, Packet{Type: Connect, Namespace: []byte("/a?b=1"), ID: hub.NoAck}},
		"the root by its name":          {`0/,{}`, Packet{Type: Connect, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte("{}")}},
		"a CONNECT_ERROR with a string": {`4"s"`, Packet{Type: ConnectError, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`"s"`)}},
		"10 attachments":                {`510-["x"]`, Packet{Type: BinaryEvent, Attachments: 10, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["x"]`), Event: "x"}},
		"a placeholder that is none":    {`51-["x",{"_placeholder":1,"num":9}]`, Packet{Type: BinaryEvent, Attachments: 1, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["x",{"_placeholder":1,"num":9}]`), Event: "x"}},
		"a placeholder in an EVENT":     {`2["x",{"_placeholder":true,"num":9}]`, Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["x",{"_placeholder":true,"num":9}]`), Event: "x"}},
		"as deep as allowed":            {"2[\"x\"," + deep(maxDepth-1) + "]", Packet{Type: Event, Namespace: rootNamespace, ID: hub.NoAck, JSON: []byte(`["x",` + deep(maxDepth-1) + `]`), Event: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
