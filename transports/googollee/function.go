package googollee

import (
	"errors"
	"fmt"
	"reflect"

	"greenroom/hub"
)

var (
	connType  = reflect.TypeFor[*conn]()
	errorType = reflect.TypeFor[error]()
)

// function is a function of the program whose parameters are decoded from what a client sent. Reflection stands here and
// in buffer.go alone.
type function struct {
	fn       reflect.Value
	withConn bool           // the first parameter is the Conn
	params   []reflect.Type // the others; of a variadic one the last is the element
	variadic bool
}

func newFunction(f any, withConn bool) (*function, error) {
	v := reflect.ValueOf(f)
	if !v.IsValid() || v.Kind() != reflect.Func || v.IsNil() {
		return nil, fmt.Errorf("%T is not a function", f)
	}
	t := v.Type()
	fn := &function{fn: v, withConn: withConn, variadic: t.IsVariadic()}
	for i := range t.NumIn() {
		p := t.In(i)
		if fn.variadic && i == t.NumIn()-1 {
			p = p.Elem()
		}
		if i == 0 && withConn {
			continue
		}
		fn.params = append(fn.params, p)
	}
	if withConn && (t.NumIn() == 0 || t.In(0).Kind() != reflect.Interface || !connType.Implements(t.In(0))) {
		return nil, errors.New("its first parameter is not a socketio.Conn")
	}
	return fn, nil
}

// call decodes the arguments and calls the function; a panic in it is an error.
func (fn *function) call(c *conn, p hub.Payload, raw []rawArg) (results []any, err error) {
	defer func() {
		if v := recover(); v != nil {
			results, err = nil, fmt.Errorf("the handler panicked: %v", v)
		}
	}()
	var in []reflect.Value
	if fn.withConn {
		in = append(in, reflect.ValueOf(c))
	}
	for i := 0; ; i++ {
		var t reflect.Type
		last := len(fn.params) - 1
		switch {
		case i < last || i == last && !fn.variadic:
			t = fn.params[i]
		case fn.variadic && i < len(raw):
			t = fn.params[last]
		}
		if t == nil {
			break
		}
		v := reflect.New(t)
		if i < len(raw) {
			if err := incoming(p, raw[i], v); err != nil {
				return nil, &hub.Error{Code: "bad_arguments", Message: fmt.Sprintf("argument %d: %v", i+1, err)}
			}
		}
		in = append(in, v.Elem())
	}
	for _, r := range fn.fn.Call(in) {
		v := r.Interface()
		if e, ok := v.(error); ok && r.Type() == errorType {
			v = e.Error()
		}
		results = append(results, v)
	}
	return outgoing(results)
}
