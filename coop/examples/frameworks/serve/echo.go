package main

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"greenroom/coop/coophttp"
)

// echoServer is the app in echo.
func echoServer(a *app) http.Handler {
	e := echo.New()
	e.Use(middleware.Recover(), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			a.count()
			return next(c)
		}
	})
	e.GET("/hello/:name", func(c *echo.Context) error { return c.JSON(http.StatusOK, a.greet(c.Param("name"))) })
	e.POST("/sum", func(c *echo.Context) error {
		var n numbers
		if err := c.Bind(&n); err != nil {
			return err // answered with 400
		}
		return c.JSON(http.StatusOK, n.sum())
	})
	e.GET("/ticks/:n", func(c *echo.Context) error {
		n, _ := strconv.Atoi(c.Param("n")) // none for what is no number
		for range n {
			if err := a.tick(coophttp.Greenlet(c.Request()), c.Response()); err != nil {
				return err // the client has gone, or the server stops
			}
			if err := http.NewResponseController(c.Response()).Flush(); err != nil {
				return err
			}
		}
		return nil
	})
	e.GET("/wait", func(c *echo.Context) error { return a.wait(coophttp.Greenlet(c.Request()), c.Response()) })
	e.POST("/open", func(c *echo.Context) error {
		a.gate.Set()
		return c.NoContent(http.StatusNoContent)
	})
	e.GET("/await/:id", func(c *echo.Context) error {
		text, err := a.await(coophttp.Greenlet(c.Request()), c.Param("id"))
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, text)
	})
	e.GET("/report/:id", echo.WrapHandler(a.blocking()))
	e.GET("/panic", func(*echo.Context) error { panic("as asked for") })
	return e
}
