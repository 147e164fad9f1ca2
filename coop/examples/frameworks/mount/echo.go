package main

import (
	"net/http"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
)

// onEcho mounts them in echo.
func onEcho(io, live http.Handler, seen func(path string)) http.Handler {
	e := echo.New()
	e.Use(middleware.Recover(), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			seen(c.Request().URL.Path)
			return next(c)
		}
	})
	e.Any("/socket.io/*", echo.WrapHandler(io))
	group := e.Group("/live")
	group.Any("/socket.io/*", echo.WrapHandler(live))
	e.Any("/stripped/*", echo.WrapHandler(http.StripPrefix("/stripped", io)))
	e.GET("/hello", func(c *echo.Context) error { return c.String(http.StatusOK, "hello") })
	return e
}
