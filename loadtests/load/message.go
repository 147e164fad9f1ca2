package load

// Every message's text begins with its number and that of its room, so that a receiver knows which one it has, and
// whether it was meant to have it. The rest is filler.
const digits = 8

const hexDigits = "0123456789abcdef"

func putHex(p []byte, n uint32) {
	for i := range digits {
		p[i] = hexDigits[n>>(28-4*i)&15]
	}
}

// nibbles are the values of hexadecimal digits, 16 for everything else.
var nibbles = func() (t [256]byte) {
	for i := range t {
		t[i] = 16
	}
	for i := range len(hexDigits) {
		t[hexDigits[i]] = byte(i)
	}
	return t
}()

func getHex(p []byte) (n uint32, ok bool) {
	if len(p) < digits {
		return 0, false
	}
	var all byte
	for _, c := range p[:digits] {
		v := nibbles[c]
		all |= v
		n = n<<4 | uint32(v)
	}
	return n, all < 16
}

// newText is a message's text but for its numbers.
func newText(size int) []byte {
	text := make([]byte, size)
	for i := range text {
		text[i] = 'x'
	}
	return text
}
